"""Outgoing HTTP: bounded in time and size, no redirects, no cookies, private addresses only if allowed."""

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from app.http_client.public_only import PrivateAddress
from app.http_client.tls import trusted_when_used
from app.lazy import LazyModule, imported

if TYPE_CHECKING:
    import httpx

    from app.http_client import transport
else:
    httpx, transport = LazyModule("httpx"), LazyModule("app.http_client.transport")

MAX_RESPONSE_BYTES = 512 * 1024
"""Bytes of a response body. The largest that providers send are key sets of some 10 KB."""


class HttpClientError(Exception):
    """The request has no usable response. The text names method, address without query, and reason."""


class Unreachable(HttpClientError):
    """No response: a timeout, a refused connection, a private address, a bad certificate."""


class TimedOut(Unreachable):
    """The response was not complete in time."""


class BadResponse(HttpClientError):
    """A response that is too large, compressed without being asked, or a redirect."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """`request` names the request for the log: a method and an address without its query."""

    request: str
    status: int
    content_type: str
    body: bytes


class SafeHttpClient:
    """An HTTP client whose servers must have a certificate of `trusted(ca_file)`. Raises SettingsError as that does.

    `private` allows private addresses and plain HTTP; `timeout` bounds a whole request, in seconds; `proxy` is the URL
    of an HTTP proxy that all requests go through.
    """

    def __init__(
        self, *, timeout: float, private: bool, ca_file: Path | None = None, proxy: SecretStr | None = None
    ) -> None:
        self._timeout = timeout
        self._private = private
        self._proxy = proxy.get_secret_value() if proxy is not None else None
        self._tls = trusted_when_used(ca_file)
        self._client: httpx.AsyncClient | None = None
        self._opening = asyncio.Lock()

    async def _opened(self) -> "httpx.AsyncClient":
        """The client, made at the first request: its libraries and the authorities take 0.1 s, in threads."""
        async with self._opening:
            if self._client is None:
                await imported("app.http_client.transport")
                self._client = self._made(await self._tls())
        return self._client

    def _made(self, tls: ssl.SSLContext) -> "httpx.AsyncClient":
        return httpx.AsyncClient(
            transport=transport.Transport(tls, private=self._private, proxy=self._proxy),
            timeout=self._timeout,
            trust_env=False,
            follow_redirects=False,
            # Compressed, a response of some KB could be hundreds of MB before its size is known.
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "tallygate"},
        )

    async def __aenter__(self) -> "SafeHttpClient":
        return self

    async def __aexit__(self, *_: Any) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def request(self, method: str, url: str, **options: Any) -> HttpResponse:
        """Sends the request once. `options` are httpx's. Raises Unreachable, TimedOut, BadResponse."""
        name = f"{method} {url.partition('?')[0]}"
        try:
            async with asyncio.timeout(self._timeout):
                client = self._client or await self._opened()
                async with client.stream(method, url, **options) as response:
                    body = await _body(response, name)
        except TimeoutError:
            raise TimedOut(f"{name}: no answer within {self._timeout:g} s") from None
        except httpx.ConnectError as error:  # its text names the error of a certificate
            raise Unreachable(f"{name}: {type(error).__name__}: {error}") from None
        except (
            PrivateAddress,
            httpx.HTTPError,
            httpx.InvalidURL,
            UnicodeError,
        ) as error:  # UnicodeError: an invalid host name
            raise Unreachable(f"{name}: {type(error).__name__}") from None
        if 300 <= response.status_code < 400:
            raise BadResponse(f"{name}: {response.status_code}, a redirect, which is not followed")
        return HttpResponse(name, response.status_code, _content_type(response), body)


def _content_type(response: "httpx.Response") -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


async def _body(response: "httpx.Response", name: str) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise BadResponse(f"{name}: compressed, which was not asked for")
    body = b""
    async for piece in response.aiter_raw(64 * 1024):
        body += piece
        if len(body) > MAX_RESPONSE_BYTES:
            raise BadResponse(f"{name}: more than {MAX_RESPONSE_BYTES} bytes")
    return body
