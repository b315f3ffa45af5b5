"""Random requests in random pieces, answered as uvicorn's own protocol answers them, byte for byte."""

import asyncio
from typing import Any

import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from app.server.protocol import BODY, OneWriteProtocol
from tests.server.test_protocol import APPS, echo
from tests.server.test_upgrade import Transport, framed

TICKS = 60
"""Turns of the event loop within which every request here is answered."""


async def late(scope: Scope, receive: Receive, send: Send) -> None:
    for _ in range(3):
        await asyncio.sleep(0)
    await APPS["plain"](scope, receive, send)


NAMES = ("plain", "empty", "no content", "not modified", "two cookies", "stream", "pieces with a length", "close")
ROUTES = [echo, late, *(APPS[name] for name in NAMES)]


class App:
    """The routes by number; `try_fast` answers /0 and /2 as they do themselves."""

    def wants_body(self, scope: Scope) -> bool:
        return bool(scope["path"] == "/0")

    def try_fast(self, scope: Scope, reply: Any) -> bool:
        body = {"/0": scope.get(BODY), "/2": b"hello"}.get(scope["path"])
        if body is None:
            return False
        lines = b"content-length: %d\r\ncontent-type: text/plain; charset=utf-8\r\n" % len(body)
        asyncio.get_running_loop().call_soon(reply, 200, lines, body)
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await ROUTES[int(scope["path"][1:])](scope, receive, send)


class Written(Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        if not self.closed:
            self.written += data

    def get_write_buffer_size(self) -> int:
        return 0


REQUESTS = st.builds(
    lambda method, route, header, body, chunked: (
        b"%b /%d HTTP/1.1\r\nHost: a\r\n%b" % (method, route, header) + framed(body, chunked, b"")
    ),
    st.sampled_from([b"GET", b"POST", b"PUT", b"HEAD"]),
    st.integers(0, len(ROUTES) - 1),
    st.sampled_from([b"", b"", b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"X-A:  b \r\nX-A: c\r\n"]),
    st.sampled_from([b"", b"x", b"\r\n\r\n", b"0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"]),
    st.booleans(),
)


async def answered(protocol_class: type[HttpToolsProtocol], pieces: list[tuple[bytes, int]], stop_at: int) -> Any:
    """What is written, and whether the connection is closed; a stop begins before this piece."""
    config = uvicorn.Config(App(), ws="none", log_config=None, access_log=False)
    config.load()
    state, transport = ServerState(), Written()
    protocol = protocol_class(config=config, server_state=state, app_state={})
    protocol.connection_made(transport)
    for number, (piece, ticks) in enumerate(pieces):
        if number == stop_at:
            protocol.shutdown()
        if transport.closed:
            break
        protocol.data_received(piece)
        for _ in range(ticks):
            await asyncio.sleep(0)
    for _ in range(TICKS):
        await asyncio.sleep(0)
    answer = transport.written, transport.closed
    protocol.connection_lost(None)
    await asyncio.gather(*state.tasks)
    return answer


@settings(max_examples=40, deadline=None)
@given(
    st.lists(REQUESTS, min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(1, 60), st.sampled_from([0, 0, 1, 2, 8, 30])), max_size=20),
    st.integers(-10, 20),
)
async def test_any_requests_in_any_pieces(requests: list[bytes], sizes: list[tuple[int, int]], stop_at: int) -> None:
    rest, pieces = b"".join(requests), []
    for size, ticks in sizes:
        if rest:
            pieces.append((rest[:size], ticks))
            rest = rest[size:]
    if rest:
        pieces.append((rest, 0))
    assert await answered(OneWriteProtocol, pieces, stop_at) == await answered(HttpToolsProtocol, pieces, stop_at)
