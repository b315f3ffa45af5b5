"""If-Match and If-None-Match (RFC 9110, 13.1) of a namespace, whose entity tag is its version: `"12"`."""

import re

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


def if_match(header: str, version: int) -> bool:
    """Whether the change may happen. Strong comparison: a weak tag never matches."""
    given = tags(header)
    return given is None or (False, str(version)) in given


def if_none_match(header: str, version: int) -> bool:
    """Whether the client has this version already. Weak comparison."""
    given = tags(header)
    return given is None or any(tag == str(version) for _, tag in given)


def versions_of(header: str) -> list[int]:
    """The versions that If-Match names."""
    return [int(tag) for _, tag in tags(header) or [] if tag.isascii() and tag.isdigit() and len(tag) < 16]
