"""Requests through the owner's HTTP proxy."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from pydantic import SecretStr

from app.http_client.client import SafeHttpClient, Unreachable
from app.settings import Settings


class Proxy:
    """Notes what it is asked, and the first bytes in a tunnel."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.status = "200 OK"
        self.url = ""
        self.tunnelled = b""
        self.running: list[asyncio.Task[None] | None] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.running.append(asyncio.current_task())
        try:
            await self._answer(reader, writer)
        finally:
            await closed(writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        method = head.partition(" ")[0]
        if self.status != "200 OK":
            writer.write(f"HTTP/1.1 {self.status}\r\nContent-Length: 0\r\n\r\n".encode())
        elif method == "CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            self.tunnelled = await reader.read(65536)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}")


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    writer.transport.abort()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    proxy = Proxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield proxy
    server.close()
    await asyncio.gather(*filter(None, proxy.running))


async def test_a_request_goes_through_the_proxy_which_resolves_the_name(proxy: Proxy) -> None:
    through = SecretStr(f"http://user:p%40ss@{proxy.url}")
    async with SafeHttpClient(timeout=5, private=False, proxy=through) as client:
        answer = await client.request("GET", "http://provider.example/jwks?x=1")
    assert answer.status == 200
    assert proxy.heads[0].startswith("GET http://provider.example/jwks?x=1 HTTP/1.1\r\n")
    assert f"Basic {base64.b64encode(b'user:p@ss').decode()}" in proxy.heads[0]


async def test_https_goes_through_a_tunnel_with_tls_to_the_provider(proxy: Proxy) -> None:
    async with SafeHttpClient(timeout=5, private=False, proxy=SecretStr(f"http://{proxy.url}")) as client:
        with pytest.raises(Unreachable):
            await client.request("GET", "https://provider.example/jwks?code=secret")
    assert proxy.heads[0].startswith("CONNECT provider.example:443 HTTP/1.1\r\n")
    assert proxy.tunnelled.startswith(b"\x16\x03")  # a TLS handshake
    assert b"provider.example" in proxy.tunnelled


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.1", "0x7f000001", "a.localhost", "10.1"])
async def test_a_private_address_is_not_asked_through_a_proxy(host: str, proxy: Proxy) -> None:
    async with SafeHttpClient(timeout=5, private=False, proxy=SecretStr(f"http://{proxy.url}")) as client:
        with pytest.raises(Unreachable, match="PrivateAddress"):
            await client.request("GET", f"http://{host}/jwks")
    assert not proxy.heads


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "403 Forbidden", "502 Bad Gateway"])
async def test_a_proxy_that_refuses_makes_a_provider_unreachable(status: str, proxy: Proxy) -> None:
    proxy.status = status
    async with SafeHttpClient(timeout=5, private=False, proxy=SecretStr(f"http://a:hush@{proxy.url}")) as client:
        with pytest.raises(Unreachable) as refused:
            await client.request("GET", "https://provider.example/jwks")
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("url", ["proxy:3128", "socks5://proxy:1080", "http://", "http://proxy/path", "http://a b:1"])
def test_a_proxy_setting_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must be an address such as"):
        Settings(outgoing_proxy=SecretStr(url))
