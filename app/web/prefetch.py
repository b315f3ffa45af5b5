"""Recognises prefetch requests. Pure."""

from collections.abc import Mapping


def is_prefetch(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a browser loads the page in advance (prefetch, prerender).

    `Sec-Purpose: prefetch` is the standard (Fetch, 2024); `Purpose`, `X-Moz` and `X-Purpose` came before it.
    """
    purpose = headers.get(b"sec-purpose") or headers.get(b"purpose") or headers.get(b"x-moz")
    if purpose is not None:
        return b"prefetch" in purpose.lower()
    purpose = headers.get(b"x-purpose")
    return purpose is not None and purpose.lower() in {b"prefetch", b"preview"}
