"""The headers of a request, and the rules for its Host header."""

import re
from typing import Any

from starlette.requests import Request
from starlette.types import Scope

from app.server.protocol import HEADERS
from app.server.security_headers import RawHeader, RawHeaders
from app.settings import Settings

__all__ = ["Hosts", "RawHeader", "RawHeaders", "content_type", "headers_of"]

HOST = re.compile(rb"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>\d{1,5}))?")
MAX_PORT = 65_535


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """The request's headers by lower-case name, the last one of several; built once per request."""
    headers: dict[bytes, bytes] | None = scope.get(HEADERS)
    if headers is None:
        headers = scope[HEADERS] = dict(scope["headers"])
    return headers


def content_type(request: Request[Any]) -> str:
    """The media type of the body, without parameters; empty if none is named."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


class Hosts:
    """Checks the Host header: exactly one, well-formed, and listed in `allowed_hosts` if that is set."""

    def __init__(self, settings: Settings) -> None:
        self._allowed = frozenset(host.lower().encode() for host in settings.allowed_hosts)
        self._good: set[bytes] = set()

    def allow(self, headers: dict[bytes, bytes], raw: RawHeaders) -> bool:
        host = headers.get(b"host", b"")
        if len(headers) != len(raw) and sum(name == b"host" for name, _ in raw) > 1:
            return False
        return host in self._good or self._check(host)

    def _check(self, host: bytes) -> bool:
        match = HOST.fullmatch(host)
        if match is None or not 0 < int(match["port"] or 80) <= MAX_PORT:
            return False
        if self._allowed and match["name"].lower() not in self._allowed:
            return False
        if len(self._good) < 64:  # clients choose the values: the cache is bounded
            self._good.add(host)
        return True
