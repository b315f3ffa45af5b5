"""What our protocol refuses, or leaves out for an old client."""

import asyncio
from typing import Any

import pytest
import structlog
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from app.server import protocol
from app.server.lifecycle import Lifecycle
from app.server.protocol import OneWriteProtocol
from tests.helpers.sockets import PATIENCE
from tests.server.test_protocol import APPS, OK, REQUESTS, echo, served, told


async def test_http_1_0_gets_no_100_continue() -> None:
    async with served(echo, OneWriteProtocol) as port:
        answer = await told(port, b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc")
    assert answer.startswith(OK)
    assert answer.endswith(b"\r\n\r\nabc")


async def test_connection_is_refused_when_descriptors_are_scarce(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lifecycle = Lifecycle()
    monkeypatch.setattr(lifecycle.descriptors, "_most", 0)
    with structlog.testing.capture_logs() as lines:
        async with served(APPS["plain"], OneWriteProtocol, {"lifecycle": lifecycle}) as port:
            answers = [await told(port, REQUESTS["GET"]) for _ in range(3)]
    assert all(answer.startswith(b"HTTP/1.1 503 ") for answer in answers)
    assert [line["limit"] for line in lines] == [32]


async def test_a_slow_reader_gets_everything() -> None:
    async with served(APPS["large"], OneWriteProtocol) as port, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
        writer.write(REQUESTS["kept alive"])
        received = bytearray()
        while data := await reader.read(1_000_000):
            received += data
            await asyncio.sleep(0)
        writer.close()
    assert received.count(OK) == 2
    assert received.count(b"a" * 3_000_000) == 2


HALF_BODY = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na"


@pytest.mark.parametrize(("request_bytes", "status"), [(b"GET / HTTP/1.1\r\nHos", b""), (HALF_BODY, b"HTTP/1.1 408 ")])
async def test_client_that_withholds_its_request_is_disconnected(
    monkeypatch: pytest.MonkeyPatch, request_bytes: bytes, status: bytes
) -> None:
    monkeypatch.setattr(protocol, "CLIENT_LIMIT", 0.1)
    async with served(echo, OneWriteProtocol) as port:
        answer = await told(port, request_bytes)
    assert answer[:13] == status


class Recorded(OneWriteProtocol):
    opened: list[Any]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self.opened.append(self)


async def test_a_request_may_begin_just_before_the_client_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    monkeypatch.setattr(Recorded, "opened", opened, raising=False)
    async with served(echo, Recorded) as port, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while not opened:
            await asyncio.sleep(0.001)
        before = opened[0].scope
        writer.write(HALF_BODY[:-1])  # many clients send the body by itself
        while opened[0].cycle is None:
            await asyncio.sleep(0.001)
        opened[0]._end_if_withheld(protocol.CLIENT_LIMIT, before)
        writer.write(b"abc")
        assert (await reader.readuntil(b"abc")).startswith(OK)
        writer.close()


async def test_body_may_come_slowly_until_the_server_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    monkeypatch.setattr(Recorded, "opened", opened, raising=False)
    async with served(echo, Recorded) as port, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while not opened:
            await asyncio.sleep(0.001)
        assert opened[0].timeout_keep_alive_task, "an idle connection ends, too"
        for piece in (HALF_BODY, b"b"):
            writer.write(piece)
            while not opened[0]._brought_body:
                await asyncio.sleep(0.001)
            opened[0]._end_if_withheld(protocol.CLIENT_LIMIT, opened[0].scope)
            assert not opened[0].transport.is_closing()
        opened[0].shutdown()
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        writer.close()


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
