"""Validates redirect URIs, and compares them with registered ones. Pure."""

import re
from urllib.parse import urlsplit

MAX_URI_LENGTH = 2000
PRINTABLE = re.compile(r"[!#-;=?-\[\]_a-z~%]+")
"""RFC 3986's characters: no spaces, quotes, backslashes, angle brackets, nothing outside ASCII."""
PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")
"""A private-use scheme is a reversed domain name (RFC 8252, 7.1)."""
LOOPBACK = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::[0-9]{1,5})?(?=[/?]|$)(.*)")
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


class BadUri(ValueError):
    """The URI cannot be registered; the text is the reason."""


def check(uri: str, *, private: bool = False, any_http: bool = False) -> str:
    """The URI if it may be registered. Raises BadUri.

    `private` allows schemes of native apps, `any_http` plain HTTP to every host; loopback always has it.
    """
    if len(uri) > MAX_URI_LENGTH or not PRINTABLE.fullmatch(uri):
        raise BadUri("must be a URI of at most 2,000 ASCII characters")
    if "#" in uri or "*" in uri:
        raise BadUri("must have no fragment and no *")
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        raise BadUri("is not a URI") from None
    if parts.scheme in {"http", "https"}:
        if not parts.hostname or "@" in parts.netloc:
            raise BadUri("must have a host, and no user")
        if parts.scheme == "http" and parts.hostname not in LOCAL_HOSTS and not any_http:
            raise BadUri("must be https, except on this machine")
    elif not private or not PRIVATE_SCHEME.fullmatch(parts.scheme):
        raise BadUri("must be https (an app's own scheme is a reversed domain name, such as com.example.app)")
    return uri


def is_registered(uri: str, registered: tuple[str, ...]) -> bool:
    """Whether the URI equals a registered one, character by character.

    At 127.0.0.1 and [::1] any port will do (RFC 8252, 7.3).
    """
    if uri in registered:
        return True
    portless = _without_port(uri)
    return portless is not None and any(_without_port(each) == portless for each in registered)


def origin_of(uri: str) -> str:
    """The URI's source in a Content-Security-Policy: an origin, or a scheme alone."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"


def _without_port(uri: str) -> tuple[str, str] | None:
    match = LOOPBACK.fullmatch(uri)
    return (match[1], match[2]) if match else None
