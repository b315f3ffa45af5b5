"""Cross-site requests: refused by what the browser says of where they come from. Pure.

The algorithm of Go 1.25's CrossOriginProtection, as Datasette has it, too: no tokens, no cookies.
"""

from collections.abc import Mapping

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}


def is_cross_site(method: str, scheme: bytes, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a changing request comes from another origin. What has neither header is not a browser: it may pass,
    because the attack needs a browser that adds the victim's cookies.
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
