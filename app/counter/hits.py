"""What counts as a visit. Pure."""

from collections.abc import Mapping

from app.web.prefetch import is_prefetch


def is_visit(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """A page that is fetched to be read: not HEAD, and not a browser's guess at what may be read next."""
    return method == "GET" and not is_prefetch(headers)
