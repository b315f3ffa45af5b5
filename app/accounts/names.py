"""Usernames: which are allowed, and which are the same name. Pure."""

import re
import unicodedata

from app.web.i18n import N_

MAX_NAME_LENGTH = 64
MAX_TYPED_LENGTH = 4 * MAX_NAME_LENGTH
"""Characters that are looked at: more cannot be a name, and normalising takes time."""
FORBIDDEN = frozenset('/\\:,;<>"')
"""They mean something in paths, in lists in headers, in Basic credentials or in HTML."""
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"})
"""Categories that show nothing; unassigned characters too: a later Unicode may normalise them differently."""
BLANK_LETTERS = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Letters and marks that show nothing all the same: joiners, fillers, variation selectors."""


class BadName(ValueError):
    """No username; `reason` is a sentence for the reader."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def normal(name: str) -> str:
    """The name as it is kept and shown. Raises BadName."""
    if len(name) > MAX_TYPED_LENGTH:
        raise BadName(N_("A name has at most 64 characters."))
    name = unicodedata.normalize("NFKC", name).strip()
    if not name:
        raise BadName(N_("Please enter a name."))
    if len(name) > MAX_NAME_LENGTH:
        raise BadName(N_("A name has at most 64 characters."))
    if any(unicodedata.category(character) in UNSEEN for character in name) or BLANK_LETTERS.search(name):
        raise BadName(N_("A name has no spaces and no invisible characters."))
    if not FORBIDDEN.isdisjoint(name):
        raise BadName(N_('A name has none of the characters / \\ : , ; < > ".'))
    return name


def compare_key(name: str) -> str:
    """What two spellings of one name have in common; of any text, for it refuses nothing.

    Twice, because folding can leave what normalising changes, and the other way round.
    """
    folded = unicodedata.normalize("NFKC", name[:MAX_TYPED_LENGTH]).strip().casefold()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", folded).casefold())
