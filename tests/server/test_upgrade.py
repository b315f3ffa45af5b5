"""An Upgrade is ignored and the body read as HTTP/1.1 (RFC 9110, 7.8): a body is never read as the next request."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h11
import pytest
import uvicorn
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from app.server.protocol import OneWriteProtocol
from tests.helpers.proxies import PROXIES, proxied
from tests.helpers.service import Process, process
from tests.helpers.sockets import connected, exchange, receive, to_the_end
from tests.helpers.valkey import Valkey

SMUGGLED = b"GET /live HTTP/1.1\r\nHost: a\r\n\r\n"
UPGRADES = [
    b"Connection: Upgrade\r\nUpgrade: foo\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
    b"Connection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: foo, bar\r\nUpgrade: baz\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Version: 13\r\n",
]
Read = list[tuple[bytes, bytes, bytes]]
"""Requests: method, target, body."""


@pytest.fixture(scope="module")
def service(short_folder: Path, shared_server: Valkey) -> Iterator[Process]:
    with process(short_folder / "upgrade", port="0", redis_url=shared_server.url, trusted_proxies="127.0.0.1") as one:
        yield one


def post(upgrade: bytes, body: bytes, *more: bytes, path: bytes = b"/language") -> bytes:
    lines = [b"POST %b HTTP/1.1\r\nHost: a\r\n" % path, upgrade, *more, b"Content-Length: %d\r\n\r\n" % len(body)]
    return b"".join(lines) + body


@pytest.mark.slow
@pytest.mark.parametrize("upgrade", UPGRADES)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_body_behind_an_upgrade_is_no_request(service: Process, upgrade: bytes, at_once: bool) -> None:
    request = post(upgrade, SMUGGLED)
    head = request.removesuffix(SMUGGLED)
    with connected(service.url()) as connection:
        for piece in (request,) if at_once else (head, SMUGGLED[:7], SMUGGLED[7:]):
            connection.sendall(piece)
            asyncio.run(asyncio.sleep(0.05))
        connection.sendall(b"GET /ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answers = re.findall(rb"HTTP/1\.1 (\d+)", to_the_end(connection))
    assert answers == [b"400", b"200"]  # of the form, and of /ready


def test_a_client_that_offers_h2c_gets_its_answer(service: Process) -> None:
    body = b'{"username": "nobody", "password": "wrong password"}'
    request = post(UPGRADES[2], body, b"Content-Type: application/json\r\n", path=b"/api/session")
    with connected(service.url()) as connection:
        connection.sendall(request)
        head = receive(connection, b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("upgrade", UPGRADES)
def test_a_handshake_with_a_large_header_or_a_foreign_host_is_an_ordinary_request(
    service: Process, upgrade: bytes
) -> None:
    large = b"GET / HTTP/1.1\r\nHost: a\r\n" + upgrade + b"X-Large: " + b"x" * 20_000 + b"\r\nConnection: close\r\n\r\n"
    assert exchange(service.url(), large).startswith(b"HTTP/1.1 200 ")
    foreign = b"GET / HTTP/1.1\r\nHost: a/b\r\n" + upgrade + b"Connection: close\r\n\r\n"
    assert exchange(service.url(), foreign).startswith(b"HTTP/1.1 400 ")


def test_connect_is_refused(service: Process) -> None:
    answer = exchange(service.url(), b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n" + SMUGGLED)
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"405"]


@pytest.mark.parametrize("proxy", PROXIES)
def test_pipelined_responses_stay_in_order_behind_a_proxy(service: Process, proxy: str, short_folder: Path) -> None:
    """The attack of the report: the smuggled request's answer would go to the next visitor of the kept connection."""
    with proxied(proxy, service.url(), short_folder) as url:
        for upgrade in UPGRADES[:2] * 5:
            with connected(url) as attacker:
                request = post(upgrade, SMUGGLED)
                attacker.sendall(request.removesuffix(SMUGGLED))
                asyncio.run(asyncio.sleep(0.02))
                attacker.sendall(SMUGGLED)
                receive(attacker, b"\r\n\r\n")
            victim = exchange(url, b"GET /api/visits HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert b'{"visits":' in victim
            assert b'"live"' not in victim


class Transport(asyncio.Transport):
    """Takes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def write(self, data: Any) -> None:
        return

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        return

    def resume_reading(self) -> None:
        return

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


@contextmanager
def recording() -> Iterator[tuple[OneWriteProtocol, Read]]:
    read: Read = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                break
        read.append((scope["method"].encode(), scope["raw_path"], body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(app, ws="none", log_config=None, access_log=False)
    config.load()
    protocol = OneWriteProtocol(config=config, server_state=ServerState(), app_state={})
    protocol.connection_made(Transport())
    yield protocol, read
    protocol.connection_lost(None)


def read_by_h11(stream: bytes) -> Read:
    connection, read = h11.Connection(h11.SERVER), []
    connection.receive_data(stream)
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            request, body = event, b""
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            read.append((bytes(request.method), bytes(request.target), body))
            connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is not h11.DONE:
                return read
            connection.start_next_cycle()
        else:
            return read


def framed(body: bytes, chunked: bool, trailers: bytes) -> bytes:
    if not chunked:
        return b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n" + trailers + b"\r\n"


REQUESTS = st.builds(
    lambda method, path, upgrade, body, chunked, trailers: (
        b"%b %b HTTP/1.1\r\nHost: a\r\n%b" % (method, path, upgrade) + framed(body, chunked, trailers)
    ),
    st.sampled_from([b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS"]),
    st.sampled_from([b"/", b"/a", b"/a%20b"]),
    st.sampled_from([b"", *UPGRADES, b"Upgrade: foo\r\n", b"Connection: upgrade\r\n"]),
    st.sampled_from([b"", b"x", SMUGGLED, SMUGGLED * 3, b"\r\n\r\n", b"0\r\n\r\n"]),
    st.booleans(),
    st.sampled_from([b"", b"Upgrade: foo\r\n", b"Connection: Upgrade\r\nUpgrade: websocket\r\n"]),
)


@pytest.mark.slow
@given(st.lists(REQUESTS, min_size=1, max_size=4), st.lists(st.integers(1, 200), max_size=12))
@example([post(UPGRADES[0], SMUGGLED)], [])
@example([post(UPGRADES[1], SMUGGLED), SMUGGLED], [1] * 12)
async def test_requests_are_read_as_h11_reads_them(requests: list[bytes], sizes: list[int]) -> None:
    stream = rest = b"".join(requests)
    with recording() as (protocol, read):
        for size in sizes:
            piece, rest = rest[:size], rest[size:]
            protocol.data_received(piece)
            await asyncio.sleep(0)
        protocol.data_received(rest)
        expected = read_by_h11(stream)
        for _ in range(200):
            if len(read) == len(expected):
                break
            await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert read == expected
