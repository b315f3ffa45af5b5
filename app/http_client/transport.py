"""The transport of outgoing requests: direct, to checked addresses, or through the operator's proxy."""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

import httpcore
import httpx

from app.http_client.connect import HostConnector
from app.http_client.public_only import refuse_private
from app.observability.spans import client_span

MAX_CONNECTIONS, MAX_IDLE_CONNECTIONS, IDLE_SECONDS = 100, 20, 30


class Transport(httpx.AsyncBaseTransport):
    """`private` allows private addresses. A `proxy` resolves names itself: only addresses that a URL spells are checked
    here.
    """

    def __init__(
        self,
        tls: ssl.SSLContext,
        *,
        private: bool,
        proxy: str | None = None,
    ) -> None:
        self._checks_urls = proxy is not None and not private
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            proxy=_proxy(proxy, tls) if proxy is not None else None,
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_IDLE_CONNECTIONS,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=HostConnector(private=private or proxy is not None),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._checks_urls:
            refuse_private(request.url.host)
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        with client_span(request.method, request.url.host) as span, _as_httpx():
            request.headers.update(span.headers)
            response = await self._pool.handle_async_request(
                httpcore.Request(
                    request.method,
                    url,
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
            span.respond(response.status)
        return httpx.Response(
            response.status, headers=response.headers, stream=_Body(response), extensions=response.extensions
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            async for piece in self._response.aiter_stream():
                yield piece

    async def aclose(self) -> None:
        await self._response.aclose()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Turns httpcore's exceptions into httpx's."""
    try:
        yield
    except httpcore.ConnectError as error:
        raise httpx.ConnectError(str(error)) from None
    except httpcore.TimeoutException as error:
        raise httpx.ReadTimeout(str(error)) from None
    except httpcore.ProxyError as error:
        raise httpx.ProxyError(str(error)) from None
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
        raise httpx.NetworkError(str(error)) from None


def _proxy(url: str, tls: ssl.SSLContext) -> httpcore.Proxy:
    parts = urlsplit(url)
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return httpcore.Proxy(address, auth=auth, ssl_context=tls if parts.scheme == "https" else None)
