"""Who asks, a person or a program: decides between a page and JSON."""

from functools import lru_cache

from starlette.types import Scope

from app.web.headers import headers_of

LONGEST = 1024
"""Bytes that are looked at of each header: strangers choose them, and some are remembered."""


def prefers_json(scope: Scope) -> bool:
    """JSON for `/api/`, for `Accept: application/json` without HTML, and for scripts in a page (Fetch Metadata)."""
    if scope["path"].startswith("/api/"):
        return True
    headers = headers_of(scope)
    return asks_for_json(headers.get(b"accept", b""), headers.get(b"sec-fetch-mode", b"navigate"))


def asks_for_json(accept: bytes, fetch_mode: bytes) -> bool:
    """The rule for any other path, from the two headers alone."""
    return _asks_for_json(accept[:LONGEST], fetch_mode[:LONGEST])


@lru_cache(maxsize=512)
def _asks_for_json(accept: bytes, fetch_mode: bytes) -> bool:
    accept = accept.lower()
    if b"text/html" in accept:
        return False
    return b"application/json" in accept or fetch_mode != b"navigate"
