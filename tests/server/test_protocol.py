"""Our HTTP protocol on real sockets: it says what uvicorn's own says, only in one write."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import uvicorn
import uvloop
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.server.protocol import OneWriteProtocol
from tests.helpers.sockets import PATIENCE

OK = b"HTTP/1.1 200 OK\r\n"
CLOSE = b"Connection: close\r\n\r\n"


def says(status: int, headers: list[tuple[bytes, bytes]], *bodies: bytes) -> ASGIApp:
    """An application that sends exactly this."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for number, body in enumerate(bodies, 1):
            await send({"type": "http.response.body", "body": body, "more_body": number < len(bodies)})

    return app


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("on purpose")


async def fails_late(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
    raise RuntimeError("on purpose")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    await PlainTextResponse(body)(scope, receive, send)


async def twice(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("once")(scope, receive, send)
    await PlainTextResponse("twice")(scope, receive, send)


LENGTH_3 = [(b"content-length", b"3")]
APPS: dict[str, ASGIApp] = {
    "plain": PlainTextResponse("hello"),
    "empty": Response(),
    "no content": Response(status_code=204),
    "not modified": Response(status_code=304),
    "redirect": Response(status_code=303, headers={"Location": "/"}),
    "two cookies": says(200, [*LENGTH_3, (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")], b"abc"),
    "stream": says(200, [], b"one", b"two", b""),
    "pieces with a length": says(200, LENGTH_3, b"a", b"bc"),
    "no length": says(200, [], b"abc"),
    "chunked": says(200, [(b"transfer-encoding", b"chunked")], b"abc"),
    "close": says(200, [*LENGTH_3, (b"connection", b"close")], b"abc"),
    "too short": says(200, LENGTH_3, b"ab"),
    "too long": says(200, LENGTH_3, b"abcd"),
    "no body": says(200, LENGTH_3),
    "split by a value": says(200, [*LENGTH_3, (b"location", b"/\r\nset-cookie: evil=1")], b"abc"),
    "split by a constant": says(200, [*LENGTH_3, (b"x-constant", b"/\nset-cookie: evil=1")], b"abc"),
    "split by a name": says(200, [*LENGTH_3, (b"x-a: b\r\nset-cookie", b"evil=1")], b"abc"),
    "an odd status": says(299, LENGTH_3, b"abc"),
    "fails": fails,
    "fails late": fails_late,
    "answers twice": twice,
    "large": PlainTextResponse("a" * 3_000_000),
}
NEVER_WHOLE = {"fails late", "no body", "split by a value", "split by a constant", "split by a name"}
REQUESTS = {
    "GET": b"GET / HTTP/1.1\r\nHost: a\r\n" + CLOSE,
    "HEAD": b"HEAD / HTTP/1.1\r\nHost: a\r\n" + CLOSE,
    "kept alive": b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n" + CLOSE,
    "HEAD, kept alive": b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n" + CLOSE,
    "HTTP/1.0": b"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
    "a body nobody reads": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
}


@asynccontextmanager
async def served(
    app: ASGIApp, protocol: type[HttpToolsProtocol], app_state: dict[str, Any] | None = None
) -> AsyncIterator[int]:
    """The port at which the application is served by the protocol."""
    config = uvicorn.Config(
        app, lifespan="off", log_config=None, access_log=False, server_header=False, proxy_headers=False
    )
    config.load()
    state = ServerState()  # without a Date header, which would differ from one second to the next
    server = await asyncio.get_running_loop().create_server(
        lambda: protocol(config=config, server_state=state, app_state=app_state or {}), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.gather(*state.tasks, return_exceptions=True)


async def told(port: int, request: bytes) -> bytes:
    """Everything that the server answers until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(PATIENCE):
            writer.write(request)
            return await reader.read()
    finally:
        writer.close()


def unchunked(response: bytes) -> bytes:
    """The response as HTTP/1.0 knows it: no chunks, the end of the connection ends the body."""
    head, _, body = response.replace(b"transfer-encoding: chunked\r\n", b"").partition(b"\r\n\r\n")
    return head + b"\r\n\r\n" + b"".join(body.split(b"\r\n")[1::2])


@pytest.mark.parametrize("request_bytes", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("name", APPS)
async def test_protocol_equals_uvicorns_byte_for_byte(name: str, request_bytes: bytes) -> None:
    answers = []
    for protocol in (HttpToolsProtocol, OneWriteProtocol):
        async with served(APPS[name], protocol) as port:
            answers.append(await told(port, request_bytes))
    uvicorns, ours = answers
    if name in NEVER_WHOLE and ours != uvicorns:
        # uvicorn hangs up without a word, or after a head; we have sent nothing by then, so that a 500 still fits.
        assert ours.startswith(b"HTTP/1.1 500 ")
    elif request_bytes == REQUESTS["HTTP/1.0"] and b"transfer-encoding: chunked\r\n" in uvicorns and name != "chunked":
        assert ours == unchunked(uvicorns)
    else:
        assert ours == uvicorns
    assert b"evil" not in ours


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What our protocol writes to connections."""
    noted: list[bytes] = []
    start = OneWriteProtocol.connection_made

    class Noting:
        def __init__(self, transport: Any) -> None:
            self._transport = transport

        def __getattr__(self, name: str) -> Any:
            return getattr(self._transport, name)

        def write(self, data: bytes) -> None:
            noted.append(data)
            self._transport.write(data)

    def begin(protocol: OneWriteProtocol, transport: Any) -> None:
        start(protocol, cast(asyncio.Transport, Noting(transport)))

    monkeypatch.setattr(OneWriteProtocol, "connection_made", begin)
    return noted


async def test_an_answer_leaves_in_one_write(writes: list[bytes]) -> None:
    async with served(PlainTextResponse("hello"), OneWriteProtocol) as port:
        answer = await told(port, REQUESTS["kept alive"].replace(CLOSE, b"\r\n") + REQUESTS["GET"])
    assert answer.count(OK) == 3
    assert [write for write in writes if write.startswith(OK) and write.endswith(b"hello")] == writes[:2]


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def slow_first(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/0":
            await asyncio.sleep(0.05)
        await PlainTextResponse(scope["path"])(scope, receive, send)

    requests = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(20))
    async with served(slow_first, OneWriteProtocol) as port:
        answer = await told(port, requests + b"GET /20 HTTP/1.1\r\nHost: a\r\n" + CLOSE)
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.split(OK)[1:]]
    assert bodies == [b"/%d" % number for number in range(21)]


async def test_a_body_of_several_pieces_is_read_and_answered() -> None:
    async with served(echo, OneWriteProtocol) as port:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n" + CLOSE
        answer = await told(port, head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
    assert answer.endswith(b"\r\n\r\nabcde")


async def test_stream_is_not_buffered() -> None:
    first, second = asyncio.Event(), asyncio.Event()

    async def stream() -> AsyncIterator[str]:
        yield "one"
        first.set()
        await second.wait()
        yield "two"

    async with served(StreamingResponse(stream()), OneWriteProtocol) as port, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUESTS["GET"])
        await reader.readuntil(b"one")
        await first.wait()
        second.set()
        assert (await reader.read()).endswith(b"two\r\n0\r\n\r\n")
        writer.close()


async def test_a_client_that_has_gone_is_not_written_to(writes: list[bytes]) -> None:
    asked, gone, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        await gone.wait()
        while (await receive())["type"] != "http.disconnect":
            pass
        await PlainTextResponse("too late")(scope, receive, send)
        done.set()

    async with served(waits, OneWriteProtocol) as port, asyncio.timeout(PATIENCE):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await asked.wait()
        writer.transport.abort()
        gone.set()
        await done.wait()
    assert writes == []


class Late:
    """An application that answers the second request when its client has gone."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.asked, self.done = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Any) -> None:
        if scope["path"] == "/second":
            await self.left(send.__self__._cycle)
        await self.app(scope, receive, send)
        if scope["path"] == "/second":
            self.done.set()

    async def left(self, cycle: RequestResponseCycle) -> None:
        self.asked.set()
        while not cycle.transport.is_closing():
            await asyncio.sleep(0.001)


class QuicklyLate(Late):
    """Likewise, without a task."""

    def try_fast(self, scope: Scope, reply: Any) -> bool:
        if scope["path"] != "/second":
            return False
        self.leaving = asyncio.create_task(self.left(reply.args[0]))
        self.leaving.add_done_callback(lambda _: self.answer(reply))
        return True

    def answer(self, reply: Any) -> None:
        reply(200, b"content-length: 3\r\n", b"abc")
        self.done.set()


@pytest.mark.parametrize("kind", [Late, QuicklyLate])
@pytest.mark.parametrize("name", ["plain", "stream"])
def test_a_client_that_leaves_while_several_requests_wait_is_no_error(name: str, kind: type[Late]) -> None:
    """It is only the last of them that uvicorn tells that the connection is lost, and uvloop refuses to write to it."""

    async def ask() -> None:
        app = kind(APPS[name])
        async with served(app, OneWriteProtocol) as port, asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"".join(b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in (b"first", b"second", b"third")))
            await app.asked.wait()
            writer.transport.abort()
            await app.done.wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ask())
