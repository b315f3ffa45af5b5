"""Checks of display names, e-mail addresses and group names. Pure."""

import re
import unicodedata
from collections.abc import Sequence

from app.settings.checks import EMAIL
from app.web.errors import BadRequest
from app.web.i18n import N_

MAX_DISPLAY_NAME_LENGTH = 100
MAX_EMAIL_LENGTH = 254
MAX_GROUPS = 100
MAX_NOTE_LENGTH = 200
GROUP = re.compile(r"\w[\w.:@-]{0,63}")
"""Group names travel in header lists and paths, so they hold no commas, spaces and slashes."""
INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class BadProfile(BadRequest):
    """A value is refused; `field` names it, `reason` is a sentence for the reader."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}", field=field)
        self.field = field
        self.reason = reason


def display_name_of(text: str) -> str:
    """The display name with single spaces; may be empty. Raises BadProfile."""
    name = " ".join(unicodedata.normalize("NFC", text[: 4 * MAX_DISPLAY_NAME_LENGTH]).split())
    if len(text) > 4 * MAX_DISPLAY_NAME_LENGTH or len(name) > MAX_DISPLAY_NAME_LENGTH:
        raise BadProfile("display_name", N_("A display name has at most 100 characters."))
    if any(unicodedata.category(character) in INVISIBLE_CATEGORIES for character in name):
        raise BadProfile("display_name", N_("A display name cannot contain invisible characters."))
    return name


def note_of(text: str) -> str:
    """The note of an invitation; may be empty. Raises BadProfile."""
    note = " ".join(text[: 4 * MAX_NOTE_LENGTH].split())
    if len(text) > 4 * MAX_NOTE_LENGTH or len(note) > MAX_NOTE_LENGTH:
        raise BadProfile("note", N_("A note has at most 200 characters."))
    return note.encode("utf-8", "replace").decode()


def email_of(text: str) -> str:
    """The e-mail address; may be empty. Raises BadProfile."""
    email = text.strip(" ")
    if email and (len(email) > MAX_EMAIL_LENGTH or not EMAIL.fullmatch(email)):
        raise BadProfile("email", N_("This is not an e-mail address."))
    return email


def email_key(email: str) -> str:
    """Equal for all spellings of an address."""
    return email.strip().casefold()


def group_of(text: str, field: str = "groups") -> str:
    """The group's name in normal form. Raises BadProfile."""
    name = unicodedata.normalize("NFC", text[:257]).strip()
    if not GROUP.fullmatch(name):
        raise BadProfile(field, N_("A group's name has 1 to 64 letters, digits or . _ : @ - and no spaces."))
    return name


def groups_of(names: Sequence[str]) -> tuple[str, ...]:
    """The groups in order, each once. Raises BadProfile."""
    if len(names) > MAX_GROUPS:
        raise BadProfile("groups", N_("A user can be in at most 100 groups."))
    return tuple(sorted({group_of(name) for name in names}))
