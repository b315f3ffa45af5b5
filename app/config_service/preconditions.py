"""If-Match and If-None-Match (RFC 9110, 13.1) of a namespace.

The entity tag of values is the version, `"12"`. That of the schema is `"12.15"`, with the revision: it changes without
a new version. That of the access is `"12.15.4f1e2c90"`, with a mark of the names: a renamed user changes it, too.
Each may stand in If-Match.
"""

import re
from dataclasses import dataclass

from app.config_service.models import Namespace

TAG = re.compile(r'\s*(W/)?"([^"\x00-\x20\x7f]*)"\s*')


def tags(header: str) -> list[tuple[bool, str]] | None:
    """(whether it is weak, the tag) of each; None for `*`. A malformed tag is left out."""
    if header.strip() == "*":
        return None
    found = []
    for part in header.split(","):
        match = TAG.fullmatch(part)
        if match:
            found.append((match[1] is not None, match[2]))
    return found


def if_match(header: str, *present: str) -> bool:
    """Whether the change may happen. Strong comparison: a weak tag never matches."""
    given = tags(header)
    return given is None or any(tag in present for weak, tag in given if not weak)


def if_none_match(header: str, *present: str) -> bool:
    """Whether the client has one of the present tags. Weak comparison."""
    given = tags(header)
    return given is None or any(tag in present for _, tag in given)


def versions_of(header: str) -> list[int]:
    """The versions that If-Match names."""
    versions = [tag.partition(".")[0] for _, tag in tags(header) or []]
    return [int(each) for each in versions if each.isascii() and each.isdigit() and len(each) < 16]


@dataclass(frozen=True, slots=True)
class Condition:
    """The preconditions of a change: two headers, and the key if the change is of one alone."""

    if_match: str | None = None
    if_none_match: str | None = None
    key: str | None = None

    def is_missing(self, now: Namespace) -> bool:
        """Whether the namespace demands one that is not given. `If-None-Match: *` protects a new key as well."""
        only_new = self.if_none_match is not None and tags(self.if_none_match) is None
        return now.require_if_match and self.if_match is None and not only_new

    def holds(self, now: Namespace) -> bool:
        present = self.key is None or self.key in now.items
        if self.if_none_match is not None and present and if_none_match(self.if_none_match, *now.tags):
            return False
        if self.if_match is None:
            return True
        return if_match(self.if_match, *now.tags) and (present or tags(self.if_match) is not None)
