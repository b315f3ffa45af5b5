"""Connects to an upstream: direct, to checked addresses, or through the operator's HTTP proxy."""

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import unquote, urlsplit

from app.http_client.connect import checked_addresses, first_connection
from app.http_client.public_only import refuse_private
from app.http_client.upstream_connection import BrokenConnection, UpstreamConnection

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """The host and port of a URL. `authorization` is the Basic credentials, empty without a user."""

    secure: bool
    host: str
    port: int
    netloc: str
    authorization: str = ""

    @classmethod
    def of(cls, url: str) -> "Address":
        parts = urlsplit(url)
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
        netloc = parts.netloc.rpartition("@")[2]
        authorization = f"Basic {base64.b64encode(user.encode()).decode()}" if user else ""
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        return cls(parts.scheme == "https", parts.hostname or "", port, netloc, authorization)


class Connector:
    """`tls` returns the context of connections; `private` allows private addresses. A proxy resolves names itself."""

    def __init__(
        self, tls: Callable[[], Awaitable[ssl.SSLContext]], *, private: bool, timeout: float, proxy: str | None = None
    ) -> None:
        self._tls = tls
        self._private = private
        self._timeout = timeout
        self._proxy = Address.of(proxy) if proxy is not None else None

    async def connect(self, upstream: Address) -> UpstreamConnection:
        """Raises OSError, PrivateAddress, httpcore.ConnectError, BrokenConnection, TimeoutError."""
        if self._proxy is None:
            return await self._open(upstream, private=self._private)
        if not self._private:
            refuse_private(upstream.host)
        connection = await self._open(self._proxy, private=True)
        try:
            await self._tunnel(connection, upstream)
        except BaseException:
            connection.close()
            raise
        return connection

    async def _open(self, address: Address, *, private: bool) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        addresses = await checked_addresses(address.host, address.port, private=private)
        context, name = (await self._tls(), address.host) if address.secure else (None, None)

        async def connect(ip_address: str) -> UpstreamConnection:
            make = partial(UpstreamConnection, self._timeout)
            _, connection = await loop.create_connection(
                make, ip_address, address.port, ssl=context, server_hostname=name
            )
            return connection

        return await first_connection(addresses, connect)

    async def _tunnel(self, connection: UpstreamConnection, upstream: Address) -> None:
        assert self._proxy is not None
        target = f"{upstream.netloc.removesuffix(f':{upstream.port}')}:{upstream.port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if self._proxy.authorization:
            lines.append(f"Proxy-Authorization: {self._proxy.authorization}")
        await connection.request("CONNECT", "\r\n".join([*lines, "", ""]).encode(), b"")
        if connection.status != 200:
            raise BrokenConnection
        if upstream.secure:
            await connection.start_tls(await self._tls(), upstream.host)
