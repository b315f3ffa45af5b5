"""URLs of providers: which are valid. Pure."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, ValidationInfo


def is_web_address(url: str, *, private: bool) -> bool:
    """Whether the text is an absolute https:// URL; http:// passes only if `private` is set."""
    try:
        parts = urlsplit(url)
        good = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url and not parts.fragment and "@" not in parts.netloc
    return good and plain and parts.scheme in ({"https", "http"} if private else {"https"})


def _checked(url: str, info: ValidationInfo) -> str:
    if not is_web_address(url, private=bool(info.context and info.context["private"])):
        raise ValueError("must be an address that begins with https://")
    return url


WebAddress = Annotated[str, AfterValidator(_checked)]
"""A URL in a provider's table."""
BaseAddress = Annotated[WebAddress, AfterValidator(lambda url: url.rstrip("/"))]
"""A URL that paths are appended to."""
