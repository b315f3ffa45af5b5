"""Small forms that are answered from memory, without a task, once their body is there."""

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from app.server.protocol import BODY, OneWriteProtocol
from tests.helpers.sockets import PATIENCE
from tests.server.test_protocol import OK, REQUESTS, echo, served, told


class FastForm:
    """Answers short forms from memory, if they say so; echoes any other."""

    def wants_body(self, scope: Scope) -> bool:
        return int(dict(scope["headers"]).get(b"content-length", 0)) <= 8

    def try_fast(self, scope: Scope, reply: Any) -> bool:
        if not scope.get(BODY, b"").startswith(b"fast"):
            return False
        reply(200, b"content-length: 4\r\n", b"fast")
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await echo(scope, receive, send)


@pytest.mark.parametrize("expected", [b"", b"Expect: 100-continue\r\n"])
async def test_a_form_is_answered_from_memory_when_its_body_is_there(expected: bytes) -> None:
    bodies = [b"fast=1", b"slow=1", b"", b"fast=0123456789", b"fast=2"]
    head = b"POST / HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n"
    requests = [head % (expected, len(body)) + body for body in bodies] + [REQUESTS["GET"]]
    answers = [
        b"fast=1" if expected else b"fast",
        b"slow=1",
        b"",
        b"fast=0123456789",
        b"fast=2" if expected else b"fast",
    ]
    async with served(FastForm(), OneWriteProtocol) as port, asyncio.timeout(PATIENCE):
        pipelined = await told(port, b"".join(requests))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in requests:
            writer.write(request[:-3])
            await writer.drain()
            await asyncio.sleep(0.01)  # the body comes in two pieces
            writer.write(request[-3:])
        piecewise = await reader.read()
        writer.close()
    for told_so_far in (pipelined, piecewise):
        said = told_so_far.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"").split(OK)[1:]
        assert [each.partition(b"\r\n\r\n")[2] for each in said] == [*answers, b""]


async def test_a_client_that_leaves_before_its_form_is_whole_is_no_error() -> None:
    async with served(FastForm(), OneWriteProtocol) as port, asyncio.timeout(PATIENCE):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nfast")
        await writer.drain()
        writer.transport.abort()
        assert (await told(port, REQUESTS["GET"])).startswith(OK)
