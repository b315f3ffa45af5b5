"""Who asks, a person or a program: decides between a page and JSON."""

from functools import lru_cache

from starlette.types import Scope

from app.web.headers import headers_of


def prefers_json(scope: Scope) -> bool:
    """JSON for `/api/`, for `Accept: application/json` without HTML, and for scripts in a page (Fetch Metadata)."""
    if scope["path"].startswith("/api/"):
        return True
    headers = headers_of(scope)
    return asks_for_json(headers.get(b"accept", b""), headers.get(b"sec-fetch-mode", b"navigate"))


@lru_cache(maxsize=512)
def asks_for_json(accept: bytes, fetch_mode: bytes) -> bool:
    """The rule for any other path, from the two headers alone."""
    accept = accept.lower()
    if b"text/html" in accept:
        return False
    return b"application/json" in accept or fetch_mode != b"navigate"
