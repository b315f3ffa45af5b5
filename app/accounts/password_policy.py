"""Which passwords are refused (NIST SP 800-63B-4, 3.1.1.2): by length, by a list of common ones, by the name. Pure."""

import string
import unicodedata
from pathlib import Path

from app.web.i18n import N_

MIN_LENGTH, MAX_LENGTH = 8, 256
"""Characters of a password. A longer one is refused, not truncated."""
COMMON = frozenset(Path(__file__).with_name("common_passwords.txt").read_text("utf-8").split())
SUFFIXES = string.digits + string.punctuation
"""Guessing tools append them to every common password: `password2024!`."""


class WeakPassword(ValueError):
    """The password is refused; `reason` is a sentence for the reader."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def check_password(password: str, name: str) -> None:
    """Raises WeakPassword unless the user of this name may have the password."""
    if len(password) > MAX_LENGTH:
        raise WeakPassword(N_("A password has at most 256 characters."))
    if len(unicodedata.normalize("NFKC", password)) < MIN_LENGTH:
        raise WeakPassword(N_("A password has at least 8 characters."))
    password, name = _folded(password), _folded(name)
    if name and name in password and not password.replace(name, "").strip(SUFFIXES + " "):
        raise WeakPassword(N_("Your name is not accepted as a password."))
    if password in COMMON or password.rstrip(SUFFIXES) in COMMON or len(set(password)) == 1:
        raise WeakPassword(N_("Common passwords are not accepted."))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
