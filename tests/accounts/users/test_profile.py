"""Display names, e-mail addresses and group names."""

import pytest

from app.accounts.users.profile import BadProfile, display_name_of, email_key, email_of, group_of, groups_of


@pytest.mark.parametrize("text", ["ada@example.com", "a.b+c@mail.example.co.uk", "x@localhost", ""])
def test_addresses_are_kept(text: str) -> None:
    assert email_of(f" {text} ") == text


@pytest.mark.parametrize(
    "text",
    [
        "ada", "ada@", "@example.com", "a b@example.com", "ada@exa mple.com", "ada@example.com,bob@example.com",
        "ada@example.com\r\nBcc: all@example.com", "ada@example.com\n", "Ada <ada@example.com>", "ада@example.com",
        "a@" + "x" * 300, "ada@example..com", "ada@-example.com",
    ],
)  # fmt: skip
def test_other_texts_and_header_injections_are_refused(text: str) -> None:
    with pytest.raises(BadProfile, match="email"):
        email_of(text)


def test_spellings_of_an_address_are_equal() -> None:
    assert email_key("Ada@Example.COM ") == email_key("ada@example.com")


@pytest.mark.parametrize("text", ["ops", "ops-eu.1", "corp:admins", "运维", "a@b"])
def test_group_names_are_kept(text: str) -> None:
    assert group_of(text) == text


@pytest.mark.parametrize("text", ["", " ", "a b", "a,b", "a/b", "-a", "x" * 65, "a\nb", "a\u200b"])
def test_other_group_names_are_refused(text: str) -> None:
    with pytest.raises(BadProfile, match="groups"):
        group_of(text)


def test_groups_are_ordered_and_unique() -> None:
    assert groups_of(["b", "a", "b"]) == ("a", "b")
    with pytest.raises(BadProfile):
        groups_of([f"g{number}" for number in range(101)])


def test_display_names_keep_single_spaces() -> None:
    assert display_name_of("  Ann \t Lee ") == "Ann Lee"
    for text in ("x" * 101, "a\u202eb", "a\x00b", "x" * 5000):
        with pytest.raises(BadProfile, match="display_name"):
            display_name_of(text)
