"""Writes a whole response with one system call."""

from collections.abc import Awaitable
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HEADER_RE, HEADER_VALUE_RE, STATUS_LINE

from app.server.cycle import Cycle

Header = tuple[bytes, bytes]
HTTP_1_1 = "1.1"
VARYING = frozenset({b"x-request-id", b"content-length", b"set-cookie", b"location", b"date", b"etag"})
NOT_ORDINARY = frozenset({b"connection", b"transfer-encoding"})
MAX_RENDERED_HEADERS = 512
"""Constant headers that are kept ready; there are a few dozen, so this only bounds mistakes."""
RENDERED_HEADERS: dict[Header, bytes] = {}
"""Constant headers as they are sent; a cache of what is the same for every connection of the process."""


class OneWrite:
    """Holds the start of an answer until its body is there, as the ASGI specification allows."""

    __slots__ = ("_app", "_cycle", "_ready", "_start", "_until_close")

    def __init__(self, cycle: Cycle, app: ASGI3Application, ready: dict[Header, bytes]) -> None:
        self._cycle = cycle
        self._app = app
        self._ready = ready
        self._start: Any = None
        self._until_close = False

    def __call__(self, scope: Any, receive: Any, _: Any) -> Awaitable[None]:
        return self._app(scope, receive, self._send)

    async def _send(self, message: Any) -> None:
        cycle, start = self._cycle, self._start
        if cycle.transport.is_closing():  # uvicorn tells only the last of several requests that their client has gone
            cycle.disconnected = True
        if start is None:
            if message["type"] == "http.response.start" and not cycle.response_started:
                self._start = message
            else:
                await self._pass_on(message)
            return
        self._start = None
        if message.get("more_body") or cycle.flow.write_paused or not self.write(start, message.get("body", b"")):
            await self._pass_on(start)
            await self._pass_on(message)

    async def _pass_on(self, message: Any) -> None:
        """Leaves the message to uvicorn, but sends no chunks to HTTP/1.0: the end of the connection ends the body."""
        cycle = self._cycle
        if cycle.scope["http_version"] != HTTP_1_1:
            if message["type"] == "http.response.start":
                cycle.chunked_encoding = None if _has_length(message) else False
                self._until_close = not _has_length(message)
            elif self._until_close:
                cycle.expected_content_length = len(message.get("body", b""))
        await cycle.send(message)

    def write(self, start: Any, body: bytes) -> bool:
        """Writes an ordinary answer; False, with nothing written, for any other. Raises RuntimeError for a header
        that could split the answer.
        """
        cycle = self._cycle
        if not is_ordinary(cycle) or start["status"] in (204, 304):
            return False
        ready, parts, length = self._ready, [STATUS_LINE[start["status"]]], None
        for header in (*cycle.default_headers, *start["headers"]):
            line = ready.get(header)
            if line is None:
                name, value = header
                if name in NOT_ORDINARY:
                    return False
                if name == b"content-length":
                    length = value
                if HEADER_VALUE_RE.search(value) or (name not in VARYING and HEADER_RE.search(name)):
                    raise RuntimeError("Invalid HTTP header.")
                line = b"%s: %s\r\n" % header
                if name not in VARYING and len(ready) < MAX_RENDERED_HEADERS:
                    ready[header] = line
            parts.append(line)
        if length is None or int(length) != len(body):
            return False
        parts.append(b"\r\n")
        parts.append(body)
        send_whole(cycle, b"".join(parts))
        return True


def _has_length(start: Any) -> bool:
    return any(name.lower() == b"content-length" for name, _ in start.get("headers", ()))


def is_ordinary(cycle: Cycle) -> bool:
    return not cycle.disconnected and cycle.keep_alive and cycle.scope["method"] != "HEAD"


def send_whole(cycle: Cycle, answer: bytes) -> None:
    """What uvicorn does for a whole answer, which is all of the cycle's."""
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(answer)
    cycle.wake()
    cycle.on_response()
