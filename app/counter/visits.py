"""Tells visits from other requests. Pure."""

from collections.abc import Mapping

from app.web.prefetch import is_prefetch


def is_visit(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether the request counts: a GET that is no prefetch."""
    return method == "GET" and not is_prefetch(headers)
