"""Connects to a host with several addresses: one attempt after the other, which overlap (RFC 8305)."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import chain, zip_longest
from typing import Protocol, TypeVar

import httpcore

from app.http_client import public_only

ATTEMPT_DELAY = 0.25
"""Seconds until the next address is tried while an attempt is pending (RFC 8305, 5)."""


class Connection(Protocol):
    async def aclose(self) -> None: ...


C = TypeVar("C", bound=Connection)


class HostConnector(httpcore.AsyncNetworkBackend):
    """Connects only to addresses that were checked (DNS rebinding). `private` allows private ones."""

    def __init__(self, *, private: bool) -> None:
        self._private = private
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  the interface is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises httpcore.ConnectError, httpcore.ConnectTimeout, PrivateAddress."""
        addresses = await checked_addresses(host, port, private=self._private)

        async def connect(address: str) -> httpcore.AsyncNetworkStream:
            return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)

        return await first_connection(addresses, connect)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def checked_addresses(host: str, port: int, *, private: bool) -> list[str]:
    """Raises httpcore.ConnectError, and PrivateAddress for a private one unless `private` allows that."""
    addresses = await addresses_of(host, port)
    if not private and not all(map(public_only.is_public, addresses)):
        raise public_only.PrivateAddress(host)
    return addresses


async def addresses_of(host: str, port: int) -> list[str]:
    """The host's addresses, IPv6 and IPv4 in turn. Raises httpcore.ConnectError, or PrivateAddress if it has none."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: an invalid host name
        raise httpcore.ConnectError(f"{host}: {error}") from None
    addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
    if not addresses:
        raise public_only.PrivateAddress(host)
    first = ":" in addresses[0]
    families = ([each for each in addresses if (":" in each) is version] for version in (first, not first))
    return [address for address in chain.from_iterable(zip_longest(*families)) if address is not None]


async def first_connection(addresses: Sequence[str], connect: Callable[[str], Awaitable[C]]) -> C:
    """The first connection that succeeds; the others are closed. Raises the last error if none does."""
    waiting = list(addresses)
    running: set[asyncio.Task[C]] = set()
    failure: BaseException = httpcore.ConnectError("no address")
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.ensure_future(connect(waiting.pop(0))))
            delay = ATTEMPT_DELAY if waiting else None
            done, running = await asyncio.wait(running, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
            while done:
                task = done.pop()
                error = task.exception()
                if error is None:
                    running |= done  # perhaps another one has succeeded at the same moment
                    return task.result()
                failure = error
        raise failure
    finally:
        await _closed(running)


async def _closed(tasks: set[asyncio.Task[C]]) -> None:
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(result, BaseException):
            await result.aclose()
