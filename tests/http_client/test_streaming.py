"""The client of proxies, against an upstream that sends what the test says."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.http_client import streaming
from app.http_client.client import TimedOut, Unreachable
from app.http_client.streaming import StreamingClient
from tests.helpers.authority import make_authority
from tests.helpers.sockets import PATIENCE
from tests.http_client.test_proxy import Proxy, closed, proxy

__all__ = ["proxy"]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


class Upstream:
    """Sends the next of `answers` once a request is whole, or its head is if `early`; b"" hangs up."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self.running: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}
        self.early = False
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.running[asyncio.current_task()] = writer
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                early = self.early
                if not early:
                    request += await self._body(reader, request.lower())
                self.requests.append(request)
                writer.write(answer := self.answers.pop(0))
                while early and await reader.read(65_536):
                    pass
                if not answer or b"Connection: close" in answer or early:
                    break
        await closed(writer)

    async def end(self) -> None:
        for writer in self.running.values():
            writer.transport.abort()
        await asyncio.gather(*filter(None, self.running))

    async def _body(self, reader: asyncio.StreamReader, head: bytes) -> bytes:
        if b"transfer-encoding: chunked" in head:
            return await reader.readuntil(b"0\r\n\r\n")
        _, _, length = head.partition(b"content-length: ")
        return await reader.readexactly(int(length.split(b"\r")[0])) if length else b""


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream()
    server = await asyncio.start_server(upstream.serve, "0.0.0.0", 0)
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield upstream
    server.close()
    await upstream.end()


@pytest.fixture
async def client() -> AsyncIterator[StreamingClient]:
    async with StreamingClient(timeout=PATIENCE, private=True) as client:
        yield client


async def ask(client: StreamingClient, upstream: Upstream, method: str = "GET", body: bytes = b"") -> bytes:
    response = await client.send(method, upstream.url, "/x?secret", {}, body)
    return b"".join([piece async for piece in response.iter_body()])


async def hung_up(upstream: Upstream, number: int = 0) -> None:
    """Waits until the client has closed this connection."""
    task = list(upstream.running)[number]
    assert task is not None
    async with asyncio.timeout(PATIENCE):
        await asyncio.shield(task)


async def pieces() -> AsyncIterator[bytes]:
    for piece in (b"one", b"", b"three"):
        yield piece


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK + b"{}", b"{}"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"{}", b"{}"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nTrailer: x\r\n\r\n", b"{}"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
async def test_a_connection_is_used_again(
    client: StreamingClient, upstream: Upstream, answer: bytes, body: bytes
) -> None:
    upstream.answers = [answer] * 3
    assert [await ask(client, upstream) for _ in range(3)] == [body] * 3
    assert upstream.connections == 1
    assert upstream.requests[0].startswith(b"GET /x?secret HTTP/1.1\r\nHost: 127.0.0.1:")


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"{}HTTP/1.1 200 OK\r\n\r\n",
        OK + b"{}surplus",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}",
    ],
)
async def test_connection_in_an_unknown_state_is_closed(
    client: StreamingClient, upstream: Upstream, answer: bytes
) -> None:
    upstream.answers = [answer] * 2
    for _ in range(2):
        with suppress(Unreachable):
            assert await ask(client, upstream) == b"{}"
    assert upstream.connections == 2


async def test_unused_connection_is_closed(
    client: StreamingClient, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "IDLE_SECONDS", 0.01)
    upstream.answers = [OK + b"{}"]
    assert await ask(client, upstream) == b"{}"
    await hung_up(upstream)


async def test_connections_are_bounded(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "MAX_CONNECTIONS", 2)
    upstream.answers = [OK + b"{}"] * 10
    async with StreamingClient(timeout=PATIENCE, private=True) as client:
        assert await asyncio.gather(*(ask(client, upstream) for _ in range(10))) == [b"{}"] * 10
    assert upstream.connections == 2


async def test_connection_released_after_the_client_is_closed_is_closed(upstream: Upstream) -> None:
    upstream.answers = [OK + b"{}"]
    async with StreamingClient(timeout=PATIENCE, private=True) as client:
        response = await client.send("GET", upstream.url, "/", {}, b"")
    assert [data async for data in response.iter_body()] == [b"{}"]
    await hung_up(upstream)


async def test_only_the_pools_used_last_are_kept(
    client: StreamingClient, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "MAX_POOLS", 2)
    upstream.answers = [OK + b"{}"] * 10
    first, second, third = (upstream.url.replace("127.0.0.1", f"127.0.0.{number}") for number in (1, 2, 3))
    for origin in (first, second, first, third, first):  # the third one replaces the second
        response = await client.send("GET", origin, "/", {}, b"")
        assert [data async for data in response.iter_body()] == [b"{}"]
    assert upstream.connections == 3
    await hung_up(upstream, number=1)
    response = await client.send("GET", second, "/", {}, b"")
    response.close()
    assert upstream.connections == 4


async def test_unread_response_closes_the_connection(client: StreamingClient, upstream: Upstream) -> None:
    upstream.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", OK + b"{}"]
    (await client.send("GET", upstream.url, "/", {}, b"")).close()
    assert await ask(client, upstream) == b"{}"
    assert upstream.connections == 2


async def test_a_get_is_sent_again_where_the_upstream_has_hung_up_meanwhile(
    client: StreamingClient, upstream: Upstream
) -> None:
    upstream.answers = [OK + b"{}", b"", OK + b"[]"]
    assert [await ask(client, upstream) for _ in range(2)] == [b"{}", b"[]"]
    upstream.answers = [b""]
    with pytest.raises(Unreachable):
        await ask(client, upstream, "POST", b"pay")
    assert len(upstream.requests) == 4


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"no HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
    ],
)
async def test_broken_response_error_has_no_query(client: StreamingClient, upstream: Upstream, answer: bytes) -> None:
    upstream.answers = [answer]
    with pytest.raises(Unreachable) as refused:
        await ask(client, upstream)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200", OK])
async def test_a_silent_upstream_times_out(upstream: Upstream, answer: bytes) -> None:
    upstream.answers = [answer]
    async with StreamingClient(timeout=0.2, private=True) as client:
        with pytest.raises(TimedOut):
            await ask(client, upstream)


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        ({}, b"3\r\none\r\n5\r\nthree\r\n0\r\n\r\n"),
        ({"content-length": "8"}, b"onethree"),
    ],
)
async def test_a_body_is_streamed(
    client: StreamingClient, upstream: Upstream, headers: dict[str, str], sent: bytes
) -> None:
    upstream.answers = [OK + b"{}"] * 2
    for _ in range(2):
        response = await client.send("POST", upstream.url, "/", headers, pieces())
        assert [piece async for piece in response.iter_body()] == [b"{}"]
    assert upstream.requests[0].endswith(b"\r\n\r\n" + sent)
    assert upstream.connections == 1


async def test_a_response_before_the_end_of_the_request_is_told(client: StreamingClient, upstream: Upstream) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 100_000
            await asyncio.sleep(0)

    upstream.early, upstream.answers = True, [b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", OK + b"{}"]
    response = await client.send("POST", upstream.url, "/", {}, endless())
    assert response.status == 413
    assert [piece async for piece in response.iter_body()] == []
    upstream.early = False
    assert await ask(client, upstream) == b"{}"
    assert upstream.connections == 2


@pytest.mark.parametrize("target", ["/x\r\nHost: evil", "/x\ny"])
async def test_a_line_break_in_a_head_is_not_sent(client: StreamingClient, upstream: Upstream, target: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        await client.send("GET", upstream.url, target, {}, b"")
    with pytest.raises(ValueError, match="line break"):
        await client.send("GET", upstream.url, "/", {"accept": "a\r\nb: c"}, b"")
    assert upstream.connections == 0


async def test_a_private_address_is_not_asked(upstream: Upstream) -> None:
    async with StreamingClient(timeout=PATIENCE, private=False) as client:
        with pytest.raises(Unreachable, match="PrivateAddress"):
            await ask(client, upstream)
    assert upstream.connections == 0


@pytest.mark.parametrize(("host", "trusted"), [("localhost", True), ("127.0.0.1", True), ("localhost", False)])
async def test_the_certificate_is_verified(tmp_path: Path, host: str, trusted: bool) -> None:
    folder = make_authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    upstream = Upstream()
    upstream.answers = [OK + b"{}"]
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=context)
    upstream.url = f"https://{host}:{server.sockets[0].getsockname()[1]}"
    ca_file = folder / "ca.pem" if trusted else None
    async with server, StreamingClient(timeout=PATIENCE, private=True, ca_file=ca_file) as client:
        if trusted and host == "localhost":
            assert await ask(client, upstream) == b"{}"
        else:
            with pytest.raises(Unreachable, match="SSLCertVerificationError"):
                await ask(client, upstream)
            assert not upstream.requests
    await upstream.end()


async def test_an_upstream_is_reached_through_the_owners_proxy(proxy: Proxy) -> None:
    url = SecretStr(f"http://user:p%40ss@{proxy.url}")
    async with StreamingClient(timeout=PATIENCE, private=False, proxy=url) as client:
        with pytest.raises(Unreachable):
            await client.send("GET", "https://api.example", "/x", {}, b"")
        with pytest.raises(Unreachable, match="PrivateAddress"):
            await client.send("GET", "https://10.0.0.1", "/x", {}, b"")
    assert proxy.heads[0].startswith("CONNECT api.example:443 HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic dXNlcjpwQHNz\r\n" in proxy.heads[0]
    assert b"api.example" in proxy.tunnelled  # TLS with the upstream's name
