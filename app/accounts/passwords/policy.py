"""Which passwords are refused (NIST SP 800-63B-4, 3.1.1.2): by length, by a list of common ones, by
the names of the user and the service. Pure.
"""

import string
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from app.web.i18n import N_

MIN_LENGTH, MAX_LENGTH = 8, 256
"""Characters of a password. A longer one is refused, not truncated."""
COMMON_FILE = Path(__file__).with_name("common_passwords.txt")
SUFFIXES = string.digits + string.punctuation
"""Guessing tools append them to every common password: `password2024!`."""
MIN_WORD_LENGTH = 4
"""Characters of a word of the service's name that is refused."""


class WeakPassword(ValueError):
    """The password is refused; `reason` is a sentence for the reader."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def words_of(file: Path) -> frozenset[str]:
    lines = file.read_text("utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("# ") for word in line.split())


COMMON = "\n".join(["", *words_of(COMMON_FILE), ""])
"""A line for each word: one text takes a twentieth of the memory of a set."""


def service_words(site_name: str, public_url: str | None) -> frozenset[str]:
    """What the service is called: words that are refused as passwords (OWASP ASVS 5.0, 6.1.2)."""
    host = (urlsplit(public_url).hostname if public_url else None) or ""
    words = {"tallygate", "".join(site_name.split()), *site_name.split(), host, *host.split(".")}
    return frozenset(folded(word) for word in words if len(word) >= MIN_WORD_LENGTH)


def check_password(password: str, name: str, words: Iterable[str] = ()) -> None:
    """Raises WeakPassword unless the user of this name may have the password; `words` are those of the service."""
    if len(password) > MAX_LENGTH:
        raise WeakPassword(N_("A password has at most 256 characters."))
    if len(unicodedata.normalize("NFKC", password)) < MIN_LENGTH:
        raise WeakPassword(N_("A password has at least 8 characters."))
    password = folded(password)
    if _is_only(password, [folded(name)]):
        raise WeakPassword(N_("Your name is not accepted as a password."))
    if _is_only(password, words):
        raise WeakPassword(N_("The name of this service is not accepted as a password."))
    if _is_common(password) or _is_common(password.rstrip(SUFFIXES)) or len(set(password)) == 1:
        raise WeakPassword(N_("Common passwords are not accepted."))


def _is_common(word: str) -> bool:
    return "\n" not in word and f"\n{word}\n" in COMMON


def _is_only(password: str, words: Iterable[str]) -> bool:
    """Whether the password is some of the words, perhaps repeated, with digits and signs around them."""
    rest = password
    for word in sorted(words, key=len, reverse=True):
        rest = rest.replace(word, " ") if word else rest
    return rest != password and not rest.strip(SUFFIXES + " ")


def folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
