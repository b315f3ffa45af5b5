"""Which clients are disconnected: idle ones and stuck ones. The tests call a look instead of waiting for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.server import time_limits
from app.server.protocol import OneWriteProtocol
from app.server.time_limits import CLIENT_LIMIT, Progress
from tests.helpers.sockets import PATIENCE
from tests.server.test_protocol import OK, echo, served, told

HALF_BODY = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Connection:
    """A client's connection, and the server's protocol of it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protocol: OneWriteProtocol) -> None:
        self.reader, self.writer, self.protocol = reader, writer, protocol

    async def send(self, data: bytes) -> None:
        """Sends it, and waits until the server has read it."""
        bytes_read = self.protocol.bytes_read + len(data)  # type: ignore[attr-defined]  # of Recorded
        self.writer.write(data)
        await so(lambda: self.protocol.bytes_read == bytes_read)  # type: ignore[attr-defined]

    def progress(self) -> Progress:
        return self.protocol._progress()

    def look(self, before: Progress) -> None:
        """What happens at a look, when this was the connection's progress at the one before."""
        self.protocol._check_for_stall(CLIENT_LIMIT, before)

    @property
    def closing(self) -> bool:
        return self.protocol.transport.is_closing()


async def so(true: Any) -> None:
    while not true():
        await asyncio.sleep(0.001)


@asynccontextmanager
async def connection(app: ASGIApp) -> AsyncIterator[Connection]:
    opened: list[OneWriteProtocol] = []

    class Recorded(OneWriteProtocol):
        bytes_read = 0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
            super().connection_made(transport)
            opened.append(self)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.bytes_read += len(data)

    async with served(app, Recorded) as port, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
        await so(lambda: opened)
        yield Connection(reader, writer, opened[0])
        writer.transport.abort()


@pytest.mark.parametrize(("request_bytes", "status"), [(b"GET / HTTP/1.1\r\nHos", b""), (HALF_BODY, b"HTTP/1.1 408 ")])
async def test_client_that_withholds_its_request_is_disconnected(
    monkeypatch: pytest.MonkeyPatch, request_bytes: bytes, status: bytes
) -> None:
    monkeypatch.setattr(time_limits, "CLIENT_LIMIT", 0.1)
    async with served(echo, OneWriteProtocol) as port:
        answer = await told(port, request_bytes)
    assert answer[:13] == status


async def test_a_request_may_begin_just_before_a_look() -> None:
    async with connection(echo) as client:
        before = client.progress()
        await client.send(HALF_BODY[:-1])  # many clients send the body by itself
        client.look(before)
        await client.send(b"abc")
        assert (await client.reader.readuntil(b"abc")).startswith(OK)


@pytest.mark.parametrize(
    ("head", "pieces"),
    [(HALF_BODY, [b"b"]), (CHUNKED, [b"1\r\na\r\n", b"1", b"\r\n"]), (CHUNKED, [b"2\r\na", b"b\r\n"])],
)
async def test_a_body_may_come_slowly_until_the_server_stops(head: bytes, pieces: list[bytes]) -> None:
    async with connection(echo) as client:
        await client.send(head)
        before = client.progress()
        for piece in pieces:
            await client.send(piece)
        client.look(before)
        assert not client.closing
        client.protocol.shutdown()
        client.look(before)
        assert (await client.reader.read()).startswith(b"HTTP/1.1 408 ")


async def test_a_connection_whose_body_nobody_waited_for_is_kept_alive() -> None:
    async with connection(PlainTextResponse("early")) as client:
        await client.send(HALF_BODY)
        await client.reader.readuntil(b"early")
        before = client.progress()
        await client.send(b"bc")
        client.look(before)
        assert not client.closing
        await client.send(GET)
        assert (await client.reader.readuntil(b"early")).startswith(OK)


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"a" * 100_000
        await asyncio.sleep(0)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("stop", [False, True])
async def test_a_client_that_reads_nothing_is_disconnected(
    stream: bool, stop: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_limits, "CLIENT_LIMIT_AT_STOP", CLIENT_LIMIT)
    async with connection(StreamingResponse(endless()) if stream else PlainTextResponse("a" * 30_000_000)) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport for both directions
        await client.send(GET)
        if stop:
            client.protocol.shutdown()
        await settled(client)
        client.look(client.progress()._replace(unsent=client.progress().unsent + 1))
        assert client.progress().unsent, "it has read a byte since the last look"
        client.look(client.progress())
        await so(lambda: client.protocol not in client.protocol.connections)


async def settled(client: Connection) -> None:
    """Waits until the system takes no more of the response."""
    before = None
    while before != client.progress() or not client.progress().unsent:
        before = client.progress()
        await asyncio.sleep(0.1)


async def test_a_client_that_reads_slowly_is_waited_for() -> None:
    async with connection(StreamingResponse(endless())) as client:
        await client.send(GET)
        await so(lambda: client.progress().unsent)
        before = client.progress()
        while client.progress().drained == before.drained:
            await client.reader.read(100_000)
        await so(lambda: client.progress().unsent)
        client.look(before._replace(unsent=1))
        assert not client.closing


async def test_an_idle_connection_is_closed_and_a_slow_response_is_waited_for() -> None:
    class Impatient(OneWriteProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.timeout_keep_alive = 0.05  # type: ignore[assignment]

    async def slow_second(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.2 if scope["path"] == "/slow" else 0)
        await PlainTextResponse("done")(scope, receive, send)

    async with served(slow_second, Impatient) as port:
        slow = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
        answer = await told(port, slow.replace(b"/slow", b"/") + slow)
    assert answer.count(OK) == 2
