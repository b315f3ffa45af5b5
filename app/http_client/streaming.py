"""Calls of fixed upstreams with kept-alive connections and bodies streamed both ways: no cookies, no redirects.

The hot path of proxies. A call costs a fortieth of the CPU that one by httpx costs (docs/benchmarks.md).
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpcore
from pydantic import SecretStr

from app.http_client.client import TimedOut, Unreachable
from app.http_client.public_only import PrivateAddress
from app.http_client.tls import trusted_when_used
from app.http_client.upstream_connect import Address, Connector
from app.http_client.upstream_connection import Body, BrokenConnection, UpstreamConnection
from app.observability.spans import client_span

MAX_CONNECTIONS, IDLE_SECONDS = 100, 30.0
"""To one upstream; seconds that an unused one is kept."""
MAX_POOLS = 100
"""Upstreams whose connections are kept. Beyond, the pool that was used longest ago is closed."""
OWN_HEADERS = ("Accept-Encoding: identity", "User-Agent: tallygate")
FAILURES = (BrokenConnection, OSError, PrivateAddress, httpcore.ConnectError)


class StreamedResponse:
    """A response whose head has arrived. Read its body to the end, or close it."""

    def __init__(self, name: str, connection: UpstreamConnection, pool: "Pool") -> None:
        self.status = connection.status
        self.headers = connection.headers
        self._name = name
        self._connection = connection
        self._pool = pool
        self._open = True

    async def iter_body(self) -> AsyncIterator[bytes]:
        """The body. Raises Unreachable, TimedOut."""
        try:
            async for data in self._connection.iter_body():
                yield data
        except TimeoutError:
            raise TimedOut(f"{self._name}: no answer in time") from None
        except FAILURES as error:
            raise Unreachable(f"{self._name}: {type(error).__name__}") from None
        finally:
            self.close()

    def close(self) -> None:
        """Releases the connection; it is kept if the response was read to its end."""
        if self._open:
            self._open = False
            self._pool.release(self._connection)


class Pool:
    """Connections to one upstream. Each that `acquire` returns is given to `release` or to `discard`, once."""

    def __init__(self, connector: Connector, address: Address) -> None:
        self.address = address
        self._connector = connector
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self._idle: list[UpstreamConnection] = []
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    async def acquire(self, *, fresh: bool = False) -> tuple[UpstreamConnection, bool]:
        """(a connection, whether it was used before). Waits while MAX_CONNECTIONS are in use."""
        await self._slots.acquire()
        try:
            while self._idle and not fresh:
                connection = self._idle.pop()
                if not connection.closed:
                    return connection, True
            return await self._connector.connect(self.address), False
        except BaseException:
            self._slots.release()
            raise

    def release(self, connection: UpstreamConnection) -> None:
        """Keeps the connection for the next request, or closes it if it cannot be used again."""
        if self._closed or not connection.reusable:
            self.discard(connection)
            return
        self._slots.release()
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(IDLE_SECONDS, self._close_unused)

    def discard(self, connection: UpstreamConnection) -> None:
        """Closes the connection."""
        self._slots.release()
        connection.close()

    def close(self) -> None:
        """Closes unused connections now, and each other one when it is released."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def _close_unused(self) -> None:
        loop = asyncio.get_running_loop()
        for connection in self._idle:
            if loop.time() - connection.idle_since >= IDLE_SECONDS:
                connection.close()
        self._idle = [connection for connection in self._idle if not connection.closed]
        self._sweep = loop.call_later(IDLE_SECONDS, self._close_unused) if self._idle else None


class StreamingClient:
    """An HTTP/1.1 client. `timeout`, in seconds, bounds the wait for a connection, and each part of a response.
    `private` allows private addresses. Raises SettingsError for a bad `ca_file`.
    """

    def __init__(
        self, *, timeout: float, private: bool, ca_file: Path | None = None, proxy: SecretStr | None = None
    ) -> None:
        proxy_url = proxy.get_secret_value() if proxy is not None else None
        self._connector = Connector(trusted_when_used(ca_file), private=private, timeout=timeout, proxy=proxy_url)
        self._timeout = timeout
        self._pools: dict[str, Pool] = {}

    async def __aenter__(self) -> "StreamingClient":
        return self

    async def __aexit__(self, *_: Any) -> None:
        for pool in self._pools.values():
            pool.close()

    async def send(
        self, method: str, origin: str, target: str, headers: dict[str, str], body: Body
    ) -> StreamedResponse:
        """The response when its head has arrived. `headers` may hold the length of a streamed body. Sends a GET again
        if the upstream has closed the kept connection.

        Raises Unreachable, TimedOut, with no query in their texts.
        """
        pool = self._pool_of(origin)
        name = f"{method} {origin}{target.partition('?')[0]}"
        try:
            with client_span(method, pool.address.host) as span:
                framed = _with_framing(method, {**headers, **span.headers}, body)
                head = _request_head(method, pool.address.netloc, target, framed)
                connection = await self._exchange(pool, method, head, body, "transfer-encoding" in framed)
                span.respond(connection.status)
        except TimeoutError:
            raise TimedOut(f"{name}: no answer within {self._timeout:g} s") from None
        except FAILURES as error:
            raise Unreachable(f"{name}: {type(error).__name__}") from None
        return StreamedResponse(name, connection, pool)

    def _pool_of(self, origin: str) -> Pool:
        pool = self._pools.pop(origin, None) or Pool(self._connector, Address.of(origin))
        self._pools[origin] = pool  # behind the others: the first one was used longest ago
        if len(self._pools) > MAX_POOLS:
            self._pools.pop(next(iter(self._pools))).close()
        return pool

    async def _exchange(self, pool: Pool, method: str, head: bytes, body: Body, chunked: bool) -> UpstreamConnection:
        fresh = False
        while True:
            async with asyncio.timeout(self._timeout):
                connection, used = await pool.acquire(fresh=fresh)
            try:
                await connection.request(method, head, body, chunked=chunked)
                return connection
            except BaseException as error:
                pool.discard(connection)
                lost = isinstance(error, BrokenConnection) and used and not connection.answered
                if not (lost and method == "GET" and isinstance(body, bytes)):
                    raise
                fresh = True


def _with_framing(method: str, headers: dict[str, str], body: Body) -> dict[str, str]:
    """The headers, with the one that says where the body ends (RFC 9112, 6)."""
    if not isinstance(body, bytes):
        return headers if "content-length" in headers else headers | {"transfer-encoding": "chunked"}
    headers = {name: value for name, value in headers.items() if name != "content-length"}
    if body or method not in {"GET", "HEAD"}:
        headers["content-length"] = str(len(body))
    return headers


def _request_head(method: str, host: str, target: str, headers: dict[str, str]) -> bytes:
    """Raises ValueError for a line break in a value: another header would begin there."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *OWN_HEADERS]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    text = "\r\n".join([*lines, "", ""])
    if text.count("\r") + text.count("\n") != 2 * (len(lines) + 1):
        raise ValueError("a header with a line break")
    return text.encode("latin-1")
