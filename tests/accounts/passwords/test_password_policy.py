"""Which passwords are refused: by length, as common, as the user's name."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.accounts.passwords.policy import COMMON, MIN_LENGTH, WeakPassword, check_password, service_words


@pytest.mark.parametrize(
    "password",
    [
        "correct tiger battery",
        "x7#kQp2m",
        "雨が降る前に帰りたい",
        "9f8e7d6c5b",
        " leading and trailing ",
        "p" + "q1" * 127,
    ],
)
def test_an_uncommon_password_is_accepted(password: str) -> None:
    check_password(password, "alice@example.org")


@pytest.mark.parametrize(
    "password", ["", "x7#kQp2", "七つの文字です", "e\u0308" * 7, "x7#kQp2m" * 32 + "!", "x" * 1_000_000]
)
def test_a_password_of_a_wrong_length_is_refused(password: str) -> None:
    with pytest.raises(WeakPassword, match="characters"):
        check_password(password, "alice")


@pytest.mark.parametrize(
    "password",
    [
        "password", "Password1", "PASSWORD2024!", "ｐａｓｓｗｏｒｄ", "1qaz2wsx", "qwertyuiop", "12345678", "87654321",
        "iloveyou2", "trustno1", "monkey123456789", "aaaaaaaa", "correcthorsebatterystaple",
    ],
)  # fmt: skip
def test_a_common_password_is_refused_also_with_digits_and_signs_behind_it(password: str) -> None:
    with pytest.raises(WeakPassword, match=r"Common passwords are not accepted\."):
        check_password(password, "alice")


@pytest.mark.parametrize(
    "password", ["wilhelmina", "WILHELMINA", "wilhelmina2024!", "wilhelmina wilhelmina", "ｗｉｌｈｅｌｍｉｎａ"]
)
def test_the_name_is_refused_as_a_password(password: str) -> None:
    with pytest.raises(WeakPassword, match="Your name"):
        check_password(password, "Wilhelmina")
    check_password(password + " likes rings", "Wilhelmina")


def test_more_than_the_3000_most_common_passwords_of_an_allowed_length_are_refused() -> None:
    """OWASP ASVS 5.0, 6.2.4."""
    long_ones = [word for word in COMMON.split() if len(word) >= MIN_LENGTH]
    assert len(long_ones) > 3000
    for word in long_ones:
        with pytest.raises(WeakPassword):
            check_password(word, "bob")


@pytest.mark.parametrize("password", ["Harbour2024!", "tallygate1", "harbourlights", "HARBOUR lights 7", "auth.ships"])
def test_what_the_service_is_called_is_refused_as_a_password(password: str) -> None:
    words = service_words("Harbour Lights", "https://auth.ships.example:8443")
    with pytest.raises(WeakPassword, match="name of this service"):
        check_password(password, "bob", words)
    check_password(password + " over the river", "bob", words)


def test_digits_do_not_count_as_the_name() -> None:
    check_password("8364920184", "bob")


@given(st.text(max_size=300), st.text(max_size=80))
def test_any_accepted_password_has_an_allowed_length(password: str, name: str) -> None:
    try:
        check_password(password, name)
    except WeakPassword:
        return
    assert len(password) <= 256
    assert len(unicodedata.normalize("NFKC", password)) >= 8
