"""Which passwords are refused because they would be guessed first (NIST SP 800-63B, 3.1.1.2). Pure."""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from app.web.i18n import N_

MIN_LENGTH, MAX_LENGTH = 8, 256
"""Characters of a password; more are refused instead of cut off."""
COMMON = frozenset(Path(__file__).with_name("common_passwords.txt").read_text("utf-8").split())
ROWS = (
    "abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "azertyuiop",
    "qwertyuiopasdfghjklzxcvbnm", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "1q2w3e4r5t6y7u8i9o0p",
)  # fmt: skip
SEQUENCES = tuple(one for row in ROWS for one in (row, row[::-1]))
SIGNS = "@4831!0$57"
LETTERS = (str.maketrans(SIGNS, "aabeiiosst"), str.maketrans(SIGNS, "aabellosst"))
"""What signs stand for in p@ssw0rd; a 1 may be an i or an l."""
END = re.compile(r"[\W\d_]+$")
ENDS = re.compile(r"^[\W\d_]+|[\W\d_]+$")
TRIMMINGS = 10
"""Digits and signs around a word that add nothing: `password2024!` is tried as soon as `password`."""
PATTERN = 4
"""Characters of a pattern which is no password, however often it is said."""
PART = 3
"""Characters from which a part of the user's name counts."""


class WeakPassword(ValueError):
    """A password that is refused; `reason` is a sentence for the reader."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def check_password(password: str, name: str) -> None:
    """Raises WeakPassword unless this may be the password of the user of this name."""
    if len(password) > MAX_LENGTH:
        raise WeakPassword(N_("A password has at most 256 characters."))
    if len(unicodedata.normalize("NFKC", password)) < MIN_LENGTH:
        raise WeakPassword(N_("A password has at least 8 characters."))
    password = _folded(password)
    if len(_unit(password)) <= PATTERN or any(password in row for row in SEQUENCES):
        raise WeakPassword(N_("This password only repeats something, or follows the keyboard or the alphabet."))
    cores = set(_cores(password))
    if not cores.isdisjoint(_words_of(_folded(name))):
        raise WeakPassword(N_("This password is built on your name."))
    if not cores.isdisjoint(COMMON) or any(core in row for core in cores for row in SEQUENCES):
        raise WeakPassword(N_("This password is among the first that somebody would try."))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _unit(text: str) -> str:
    """The shortest text that, repeated, makes this one: `abc` of `abcabc`."""
    return text[: (text + text).find(text, 1)]


def _cores(password: str) -> Iterator[str]:
    """What is left of it without trimmings, signs for letters, signs between words, and repetition."""
    for text in (password, END.sub("", password), ENDS.sub("", password)):
        if len(password) - len(text) <= TRIMMINGS:
            for core in (text, *map(text.translate, LETTERS)):
                yield from (core, _joined(core), _unit(_joined(core)))


def _words_of(name: str) -> set[str]:
    """The name, its part before an @, and their parts, also spelled backwards."""
    local, _, _ = name.partition("@")
    words = {_joined(name), _joined(local), *re.split(r"[\W_]+", name), *re.split(r"[\W\d_]+", name)}
    return {spelled for word in words if len(word) >= PART for spelled in (word, word[::-1])}


def _joined(text: str) -> str:
    return re.sub(r"[\W_]+", "", text)
