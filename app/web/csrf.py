"""Recognises cross-site requests by Sec-Fetch-Site and Origin. Pure.

The algorithm of Go 1.25's CrossOriginProtection, which Datasette uses as well: no tokens, no cookies.
"""

from collections.abc import Mapping

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}


def is_cross_site(method: str, scheme: bytes, headers: Mapping[bytes, bytes]) -> bool:
    """Whether an unsafe request comes from another origin. A request with neither header is from no browser and passes:
    the attack needs a browser that adds the victim's cookies.
    """
    if method in SAFE:
        return False
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site not in {b"same-origin", b"none"}
    origin = headers.get(b"origin")
    return origin is not None and _plain(origin, scheme) != _plain(scheme + b"://" + headers.get(b"host", b""), scheme)


def _plain(origin: bytes, scheme: bytes) -> bytes:
    return origin.lower().removesuffix(DEFAULT_PORTS.get(scheme, b""))
