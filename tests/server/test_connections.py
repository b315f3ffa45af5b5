"""What our protocol refuses, or leaves out for an old client."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import structlog
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.server.lifecycle import Lifecycle
from app.server.protocol import MAX_HEADERS, MAX_PIPELINED, OneWriteProtocol
from tests.helpers.sockets import PATIENCE
from tests.server.test_protocol import APPS, CLOSE, OK, REQUESTS, echo, served, told


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


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"more"
        await asyncio.sleep(0.01)


async def test_what_is_malformed_behind_a_response_under_way_is_not_answered_within_it() -> None:
    async with served(StreamingResponse(endless()), OneWriteProtocol) as port, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"more")
        writer.write(b"this is no request\r\n\r\n")
        assert b"HTTP/1.1 400" not in await reader.read()
        writer.close()


async def test_a_stream_ends_when_its_client_leaves_with_another_request_waiting() -> None:
    ended = asyncio.Event()

    async def watched() -> AsyncIterator[bytes]:
        try:
            async for piece in endless():
                yield piece
        finally:
            ended.set()

    async with served(StreamingResponse(watched()), OneWriteProtocol) as port, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
        await reader.readuntil(b"more")
        writer.transport.abort()
        await ended.wait()


@pytest.mark.parametrize(("waiting", "held"), [(MAX_PIPELINED, True), (MAX_PIPELINED + 1, False)])
async def test_few_requests_wait_for_the_first_of_their_connection(waiting: int, held: bool) -> None:
    first = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await first.wait()
        await PlainTextResponse("done")(scope, receive, send)

    async with served(slow, OneWriteProtocol) as port, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUESTS["kept alive"].partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * (waiting - 1) + REQUESTS["GET"])
        if not held:
            assert await reader.read() == b""
        first.set()
        assert (await reader.read()).count(OK) == (waiting + 1 if held else 0)
        writer.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [(b"a: b\r\n" * MAX_HEADERS, 431), (b"a: b\r\n" * (MAX_HEADERS - 2), 200), (b"a: " + b"b" * 70_000 + b"\r\n", 431)],
)
async def test_a_head_is_bounded(headers: bytes, status: int) -> None:
    async with served(PlainTextResponse("hello"), OneWriteProtocol) as port:
        answer = await told(port, b"GET / HTTP/1.1\r\nHost: a\r\n" + headers + CLOSE)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("target", [b"http://a", b"http://a?b=c"])
async def test_a_target_may_be_a_whole_address_without_a_path(target: bytes) -> None:
    async def path(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(scope["path"])(scope, receive, send)

    async with served(path, OneWriteProtocol) as port:
        answer = await told(port, b"GET %b HTTP/1.1\r\nHost: a\r\n" % target + CLOSE)
    assert answer.endswith(b"\r\n\r\n/")
