"""Encryption at rest."""

from app.store.encryption import Encryption


def test_a_value_decrypts_with_its_key_where_it_is_stored_and_nowhere_else() -> None:
    value = Encryption(["a" * 32], "tests").encrypt("秘密".encode(), "here")
    assert value.isascii()
    assert "秘密" not in value
    assert Encryption(["a" * 32], "tests").decrypt(value, "here") == "秘密".encode()
    assert Encryption(["a" * 32], "tests").decrypt(value.encode(), "here") == "秘密".encode()
    assert Encryption(["a" * 32], "tests").decrypt(value, "there") is None
    assert Encryption(["a" * 32], "other").decrypt(value, "here") is None
    assert Encryption(["b" * 32], "tests").decrypt(value, "here") is None


def test_former_keys_decrypt_and_the_last_one_encrypts() -> None:
    former = Encryption(["old"], "tests").encrypt(b"plain")
    both = Encryption(["old", "new"], "tests")
    assert both.decrypt(former) == b"plain"
    assert both.is_outdated(former)
    value = both.encrypt(b"plain")
    assert not both.is_outdated(value)
    assert Encryption(["new"], "tests").decrypt(value) == b"plain"
    assert value != both.encrypt(b"plain")


def test_a_changed_value_does_not_decrypt() -> None:
    encryption = Encryption(["key"], "tests")
    value = encryption.encrypt(b"plain")
    for changed in ("", "a", "é", value[:-4], value[:-8] + "AAAAAAAA", "AAAA" + value[4:], value[:20]):
        assert encryption.decrypt(changed) is None, changed
