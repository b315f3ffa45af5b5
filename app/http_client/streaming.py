"""Outgoing requests whose bodies are streamed both ways, for proxies of fixed upstreams: no cookies, no redirects."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from pydantic import SecretStr

from app.http_client.client import TimedOut, Unreachable
from app.http_client.tls import trusted
from app.http_client.transport import Transport


class StreamingClient:
    """`timeout` bounds connecting, and each wait for a part of the response, in seconds. Raises SettingsError."""

    def __init__(
        self, *, timeout: float, private: bool, ca_file: Path | None = None, proxy: SecretStr | None = None
    ) -> None:
        through = proxy.get_secret_value() if proxy is not None else None
        self._transport = Transport(trusted(ca_file), private=private, proxy=through)
        self._timeout = timeout

    async def __aenter__(self) -> "StreamingClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.aclose()

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, headers: dict[str, str], body: bytes | AsyncIterator[bytes]
    ) -> AsyncIterator[httpx.Response]:
        """The response when its head is there. Raises Unreachable, TimedOut, with no query in their texts."""
        name = f"{method} {url.partition('?')[0]}"
        extensions = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), self._timeout)}
        plain = {"Accept-Encoding": "identity", "User-Agent": "tallygate"} | headers
        request = httpx.Request(method, url, headers=plain, content=body, extensions=extensions)
        try:
            async with asyncio.timeout(None if not isinstance(body, bytes) else self._timeout):
                response = await self._transport.handle_async_request(request)
        except (TimeoutError, httpx.TimeoutException):
            raise TimedOut(f"{name}: no answer within {self._timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unreachable(f"{name}: {type(error).__name__}") from None
        try:
            yield response
        finally:
            await response.aclose()
