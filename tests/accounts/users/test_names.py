"""Usernames: what is refused, and what counts as the same name."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.accounts.users.names import MAX_NAME_LENGTH, BadName, compare_key, normal


@pytest.mark.parametrize(
    "name", ["alice", "Alice", "alice@example.org", "o'brien", "李伟", "Ольга", "a", "a_b-c.d+e", "x" * 64]
)
def test_ordinary_names_and_addresses_are_unchanged(name: str) -> None:
    assert normal(name) == name


def test_space_around_a_name_is_dropped_and_its_letters_are_composed() -> None:
    assert normal("  zoe\u0308\n") == "zoë"


def test_wide_letters_and_ligatures_become_plain_ones() -> None:
    assert normal("ａｄｍｉｎ") == "admin"
    assert normal("ﬁona") == "fiona"


@pytest.mark.parametrize(
    "name",
    [
        "", " ", "\t\n", "x" * 65, "x" * 100_000, "ﷺ" * 4,
        "a b", "a\u00a0b", "a\u3000b", "a\nb", "a\x00b", "a\x7fb",
        "a\u200bb", "a\u200db", "a\u202eb", "a\ufeffb", "a\u00adb",
        "a\ufe0fb", "a\u034fb", "a\u3164b", "a\u115fb", "a\u2800b", "a\U000e0100b", "a\U000e0041b",
        "a\ud800b", "a\ue000b", "a\u0378b",
        "a/b", "a\\b", "a:b", "a,b", "a;b", "<b>", 'a"b', "a／b", "℀",
    ],
)  # fmt: skip
def test_unsafe_names_are_refused(name: str) -> None:
    with pytest.raises(BadName) as refused:
        normal(name)
    assert refused.value.reason


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Alice", "aLICE"), ("ａｌｉｃｅ", "alice"), ("Straße", "STRASSE"), ("\u212aelvin", "kelvin"),
        ("zoë", "zoe\u0308"), ("ﬁona", "FIONA"), ("ΣΊΣΥΦΟΣ", "σίσυφος"), (" bob ", "bob"), ("①", "1"), ("Ⅳ", "iv"),
    ],
)  # fmt: skip
def test_spellings_of_one_name_compare_equal(one: str, other: str) -> None:
    assert compare_key(one) == compare_key(other)


@pytest.mark.parametrize(("one", "other"), [("alice", "alicе"), ("zoe", "zoë"), ("bob", "bob1"), ("i", "ı")])
def test_different_names_do_not(one: str, other: str) -> None:
    assert compare_key(one) != compare_key(other)


@pytest.mark.slow
@given(st.text())
@example("\u0345\u0301α")
@example("İ")
@example("\ud800")
def test_compare_key_is_total_and_idempotent(text: str) -> None:
    assert compare_key(compare_key(text)) == compare_key(text)


@given(st.text(max_size=80))
def test_accepted_name_is_normal(text: str) -> None:
    try:
        name = normal(text)
    except BadName:
        return
    assert 1 <= len(name) <= MAX_NAME_LENGTH
    assert name.isprintable()
    assert not any(character.isspace() for character in name)
    assert normal(name) == name
    assert compare_key(name) == compare_key(text)
    assert compare_key(name).encode()
