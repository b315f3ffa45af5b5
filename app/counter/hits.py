"""What counts as a visit. Pure."""

from collections.abc import Mapping


def is_visit(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """A page that is fetched to be read: not HEAD, and not a browser's guess at what may be read next.

    `Sec-Purpose: prefetch` is the standard (Fetch, 2024), `Purpose` and `X-Moz` are what came before it.
    """
    if method != "GET":
        return False
    purpose = headers.get(b"sec-purpose") or headers.get(b"purpose") or headers.get(b"x-moz")
    return purpose is None or b"prefetch" not in purpose.lower()
