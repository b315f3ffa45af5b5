"""uvicorn's HTTP protocol with these changes:

- A response leaves in one write. uvicorn writes head and body with a system call each, and checks and joins every
  header: a fifth of a small response's cost (docs/benchmarks.md). Streams, HEAD and 304 are uvicorn's.
- A response from memory needs no task, also where it depends on a small form: the application is asked with its body.
- What a request from memory does not need is not made: a copy of the state, an event, a timer (see cycle.py).
- The head of a request has limits, of bytes and of headers: httptools joins the pieces of a long header in quadratic
  time, and small headers take many times their bytes. Few requests may wait for the first of their connection.
- Trailers are not headers. uvicorn appends them: an X-Forwarded-For that no proxy has checked would be believed.
- An `Upgrade` is ignored and the body read as HTTP/1.1 (RFC 9110, 7.8). httptools stops at the end of the head, and
  uvicorn would parse the body as the next request: request smuggling.
- A stopping worker keeps no connection alive.
- A response of unknown length to an HTTP/1.0 request ends with the connection. uvicorn sends chunks, which HTTP/1.0
  does not know.
- A client's IPv4 address is one, also on a socket for both families.
- A client that withholds its request, or reads no response, is disconnected (time_limits.py). uvicorn waits for ever.
- A connection that needs one of the last descriptors is refused with 503, and the log says so. Without any left,
  uvloop resets connections and logs nothing.
"""

import asyncio
from functools import partial
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.server.cycle import Cycle
from app.server.one_write import HTTP_1_1, RENDERED_HEADERS, Header, OneWrite, is_ordinary, send_whole
from app.server.time_limits import LimitedProtocol

UPGRADE_IGNORED = "tallygate.upgrade_ignored"
"""The scope key of a request whose Upgrade was ignored: what follows its head is its body, or the next request."""
HEADERS = "tallygate.headers"
"""The scope key of the headers by lower-case name, the last one of several."""
BODY = "tallygate.body"
"""The scope key of a whole body, for an application that may respond to it without a task."""
MAX_HEAD_BYTES = 65_536
"""Bytes of a request's head, and of its trailers."""
MAX_HEADERS = 200
"""Each takes some 200 bytes of memory for as long as the response takes."""
MAX_PIPELINED = 100
"""Requests that may wait for the first of their connection. More came from one read: the connection is closed, because
each takes thirty times the memory of its bytes.
"""


class WholeHead(tuple[Header, ...]):
    """The headers of a request whose head is complete: what uvicorn adds to them from now on are trailers."""

    __slots__ = ()

    def append(self, trailer: Header) -> None:
        """Drops it: a trailer is no header (RFC 9110, section 6.5.1)."""


class OneWriteProtocol(LimitedProtocol):
    """For uvicorn's setting `http`."""

    _more_head = _size_read = 0
    _upgrade_headers: tuple[Header, ...] = ()
    _held: tuple[Cycle, ASGI3Application] | None = None
    """A request that waits for its body, before the application is asked."""
    _default_headers: tuple[object, bytes] = (None, b"")
    """uvicorn's own headers (the date), which it replaces every second, and as they are sent."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        if self.client is not None:
            self.client = (_plain(self.client[0]), self.client[1])
        opened, lifecycle = transport.get_extra_info("socket"), self.app_state.get("lifecycle")
        if lifecycle is not None and opened is not None and lifecycle.descriptors.scarce(opened.fileno()):
            self._refuse(503, "Too many connections are open.")

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        before = self.scope, self._received
        self._size_read = len(data)
        self._feed(data)
        self._more_head = self._more_head + len(data) if self._goes_on(*before) else 0
        if self._more_head > MAX_HEAD_BYTES:
            self._refuse(431, "The headers are too large.")

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*cast(tuple[Cycle, ASGI3Application], self.pipeline.pop()))
        else:
            self._begin_idle()

    def _goes_on(self, began: object, received: int) -> bool:
        """Whether only more of the unfinished head, or of its trailers, arrived."""
        if began is None or began is not self.scope:
            return False
        head, cycle = cast(Any, self.scope), cast(Any, self.cycle)  # without a method, or None, until the head is whole
        return "method" not in head or (cycle is not None and cycle.more_body and received == self._received)

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self.parser.get_method() == b"CONNECT":
                    self._refuse(405, "CONNECT is not supported.")
                    return
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
                self.parser = _new_parser(self)
            except httptools.HttpParserError:
                self.logger.warning("Invalid HTTP request received.")
                self._refuse(400, "Invalid HTTP request received.")
                return
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        """The request's head without its Upgrade headers, to be parsed again."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        self._upgrade_headers = tuple(self.headers)
        lines = [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        return b"".join([method, b" ", self.url, b" HTTP/", version, b"\r\n", *lines, b"\r\n"])

    def on_message_begin(self) -> None:
        self.url, self.headers = b"", []
        self.scope = {  # type: ignore[typeddict-item]  # the rest is known at the end of the head
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,  # type: ignore[typeddict-item]
            "root_path": "",
            "headers": self.headers,
            "state": self.app_state,  # copied where it may be changed
        }

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # the head is parsed again
        if len(self.headers) > MAX_HEADERS or (self._size_read > MAX_HEAD_BYTES and self._size() > MAX_HEAD_BYTES):
            self._refuse(431, "The headers are too large.")
            raise BufferError("the headers are too large")
        if self._upgrade_headers:  # the application sees the head as it was sent
            self.headers[:] = self._upgrade_headers
            self._upgrade_headers = ()
            self.scope[UPGRADE_IGNORED] = True  # type: ignore[literal-required]
        scope: Any = self.scope
        headers = scope[HEADERS] = dict(self.headers)
        version, url = self.parser.get_http_version(), httptools.parse_url(self.url)
        scope["http_version"], scope["method"] = version, self.parser.get_method().decode()
        raw_path = url.path or b"/"  # `GET http://example.com HTTP/1.1` has none (RFC 9112, 3.2.2)
        path = raw_path.decode("ascii")
        scope["path"], scope["raw_path"] = unquote(path) if "%" in path else path, raw_path
        scope["query_string"] = url.query or b""
        before = self.cycle
        self.cycle = Cycle(
            self,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            # HTTP/1.0 does not know 100 (RFC 9110, 10.1.1)
            expect_100_continue=version == HTTP_1_1 and headers.get(b"expect", b"").lower() == b"100-continue",
        )
        if before is None or before.response_complete:  # type: ignore[redundant-expr]  # None at first
            self._start_asgi_task(self.cycle, self.app)
        elif len(self.pipeline) >= MAX_PIPELINED:
            raise BufferError("too many requests wait for the first of the connection")
        else:  # requests of one connection are answered in turn
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))
        self.headers = cast(Any, WholeHead(self.headers))

    def _size(self) -> int:
        """Bytes of the head."""
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        if self.cycle.response_complete:  # the application did not wait for the body
            self._begin_idle()
            return
        self.cycle.end_body()
        if self._held is not None:
            held, self._held = self._held, None
            self._start_with_body(*held)

    def _start_asgi_task(self, cycle: Cycle, app: ASGI3Application) -> None:  # type: ignore[override]  # it makes them
        self._answering = cycle
        lifecycle = self.app_state.get("lifecycle")
        if lifecycle is not None and lifecycle.leaving:
            cycle.keep_alive = False  # a request that comes just as the connection is closed at the end would be lost
        wants_body = getattr(app, "wants_body", None) if cycle.scope["method"] == "POST" else None
        if wants_body is None or cycle.waiting_for_100_continue or not wants_body(cycle.scope):
            self._start(cycle, app)
        elif cycle.more_body:
            self._held = (cycle, app)
        else:
            self._start_with_body(cycle, app)

    def _start_with_body(self, cycle: Cycle, app: ASGI3Application) -> None:
        cast(Any, cycle.scope)[BODY] = bytes(cycle.body)
        self._start(cycle, app)

    def _start(self, cycle: Cycle, app: ASGI3Application) -> None:
        try_fast = getattr(app, "try_fast", None)
        if try_fast is None or not try_fast(cycle.scope, partial(self._reply, cycle)):
            cycle.scope["state"] = self.app_state.copy()
            super()._start_asgi_task(cycle, OneWrite(cycle, app, RENDERED_HEADERS))

    def _reply(self, cycle: Cycle, status: int, lines: bytes, body: bytes) -> None:
        """Sends a response that was made without a task; leaves it to uvicorn where the connection is to close."""
        if cycle.transport.is_closing():
            return
        if cycle.flow.write_paused or not is_ordinary(cycle):
            super()._start_asgi_task(cycle, partial(_answered, status, lines, body))
            return
        if self._default_headers[0] is not cycle.default_headers:
            default = b"".join([b"%b: %b\r\n" % header for header in cycle.default_headers])
            self._default_headers = (cycle.default_headers, default)
        send_whole(cycle, b"".join((STATUS_LINE[status], self._default_headers[1], lines, b"\r\n", body)))


async def _answered(status: int, lines: bytes, body: bytes, scope: Any, receive: Any, send: Any) -> None:
    """A response from memory, as an application."""
    headers = [line.split(b": ", 1) for line in lines.splitlines()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _plain(address: str) -> str:
    """A socket for both families shows an IPv4 address as ::ffff:192.0.2.1."""
    rest = address.removeprefix("::ffff:")
    return address if ":" in rest else rest


def _new_parser(protocol: OneWriteProtocol) -> httptools.HttpRequestParser:
    """A parser like uvicorn's."""
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser
