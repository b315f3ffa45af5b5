"""Usernames: which are valid, and which are equal. Pure."""

import re
import unicodedata

from app.web.i18n import N_

MAX_NAME_LENGTH = 64
MAX_TYPED_LENGTH = 4 * MAX_NAME_LENGTH
"""Characters of typed text that are normalised; a longer text is no name, and normalising takes time."""
FORBIDDEN = frozenset('/\\:,;<>"')
"""Characters with a meaning in paths, header lists, Basic credentials or HTML."""
INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"})
"""Invisible categories, and unassigned characters: a later Unicode version may normalise them differently."""
BLANK_LETTERS = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Invisible letters and marks: joiners, fillers, variation selectors."""


class BadName(ValueError):
    """The text is no username; `reason` is a sentence for the reader."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def normal(name: str) -> str:
    """The name in normal form, as it is stored and shown. Raises BadName."""
    if len(name) > MAX_TYPED_LENGTH:
        raise BadName(N_("A name has at most 64 characters."))
    name = unicodedata.normalize("NFKC", name).strip()
    if not name:
        raise BadName(N_("Please enter a name."))
    if len(name) > MAX_NAME_LENGTH:
        raise BadName(N_("A name has at most 64 characters."))
    if any(unicodedata.category(character) in INVISIBLE_CATEGORIES for character in name) or BLANK_LETTERS.search(name):
        raise BadName(N_("A name cannot contain spaces or invisible characters."))
    if not FORBIDDEN.isdisjoint(name):
        raise BadName(N_('A name cannot contain / \\ : , ; < > ".'))
    return name


def without_invisible(name: str) -> str:
    """The text in normal form, without the characters that no name may hold because they cannot be seen."""
    name = unicodedata.normalize("NFKC", name)
    spaced = "".join(" " if unicodedata.category(character)[0] == "Z" else character for character in name)
    seen = (
        character
        for character in spaced
        if character == " " or unicodedata.category(character) not in INVISIBLE_CATEGORIES
    )
    return BLANK_LETTERS.sub("", "".join(seen))


def compare_key(name: str) -> str:
    """Equal for all spellings of a name; accepts any text.

    Folded and normalised twice, because each step can undo the other's normal form.
    """
    folded = unicodedata.normalize("NFKC", name[:MAX_TYPED_LENGTH]).strip().casefold()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", folded).casefold())
