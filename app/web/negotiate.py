"""Content negotiation: a page or JSON."""

from collections.abc import Mapping
from functools import lru_cache

from starlette.types import Scope

from app.web.headers import headers_of

MAX_HEADER_BYTES = 1024
"""Bytes of an Accept that are read: results are cached, so their keys have to be bounded."""


def prefers_json(scope: Scope) -> bool:
    """JSON for `/api/`, `.json`, `Accept: application/json` without HTML, and scripts in a page (Fetch Metadata)."""
    path: str = scope["path"]
    return path.startswith("/api/") or path.endswith(".json") or asks_for_json(headers_of(scope))


def asks_for_json(headers: Mapping[bytes, bytes]) -> bool:
    """The rule for paths outside `/api/`, from two headers."""
    navigates = headers.get(b"sec-fetch-mode", b"navigate") == b"navigate"
    return _asks_for_json(headers.get(b"accept", b"")[:MAX_HEADER_BYTES], navigates)


@lru_cache(maxsize=512)
def _asks_for_json(accept: bytes, navigates: bool) -> bool:
    accept = accept.lower()
    if b"text/html" in accept:
        return False
    return b"application/json" in accept or not navigates
