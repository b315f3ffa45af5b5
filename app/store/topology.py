"""From a redis_url to redis-py connections: a single server, Sentinel or Cluster."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Protocol, TypeVar

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, ReadOnlyError, RedisError, ResponseError
from redis.maint_notifications import MaintNotificationsConfig

from app.store.redis_url import Address, Host, parse

T = TypeVar("T")
Slots = tuple[int, int, str]
"""The first slot, the last, and the node that holds them."""
Make = Callable[..., AbstractConnection]


STRAGGLER_WAIT = 0.1
"""Seconds for which the other nodes of a cluster are waited for once one has answered."""


class Topology(Protocol):
    """Knows the nodes, which of them holds a key, and how to connect to one."""

    def locate(self, key: str | bytes | float) -> str:
        """The name of the node that holds the key. Raises KeyError if `refresh` has to find it first."""

    def nodes(self) -> Collection[str]:
        """The names of all nodes that hold keys."""

    async def refresh(self) -> None:
        """Asks again which node holds which keys. Bounded in time. Raises RedisError, OSError."""

    async def connect(self, node: str) -> AbstractConnection:
        """A new connection, ready for commands. Bounded in time. Raises RedisError, OSError."""


class OneNode:
    """One node holds every key; its name is empty."""

    def locate(self, key: str | bytes | float) -> str:
        return ""

    def nodes(self) -> Collection[str]:
        return ("",)

    async def refresh(self) -> None:
        return


class Single(OneNode):
    """One server, over TCP, TLS or a unix socket. `prepare` is called before each attempt to connect."""

    def __init__(self, url: str, timeout: float, prepare: Callable[[], None] | None = None) -> None:
        address = parse(url)
        self._make = _maker(address)
        if address.hosts:
            self._make = partial(self._make, host=address.hosts[0][0], port=address.hosts[0][1])
        self._timeout = timeout
        self._prepare = prepare

    async def connect(self, node: str) -> AbstractConnection:
        if self._prepare is not None:
            self._prepare()
        async with asyncio.timeout(self._timeout):
            return await _connected(self._make())


class Sentinel(OneNode):
    """The primary that Sentinel names, looked up for each connection. All are asked at once; the first counts whose
    primary says that it is one.
    """

    def __init__(self, url: str, timeout: float) -> None:
        address = parse(url)
        self._make = _maker(address)
        login = {"db": 0, "username": None, "password": None} | address.sentinel_login
        self._make_sentinel = partial(self._make, **login)
        self._sentinels = address.hosts
        self._service = address.service
        self._timeout = timeout

    async def connect(self, node: str) -> AbstractConnection:
        async with asyncio.timeout(self._timeout):
            host, port = await _first([self._primary(sentinel) for sentinel in self._sentinels])
            return await _connected(self._make(host=host, port=port))

    async def _primary(self, sentinel: Host) -> Host:
        host, port = sentinel
        place = await _answer(
            self._make_sentinel(host=host, port=port), "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service
        )
        if place is None:
            raise RedisConnectionError(f"Sentinel does not know the service {self._service}")
        primary = place[0].decode(), int(place[1])
        await self._check(primary)
        return primary

    async def _check(self, primary: Host) -> None:
        """Raises ReadOnlyError where the server says that it is a replica: this Sentinel knows of no failover yet."""
        host, port = primary
        try:
            role = await _answer(self._make(host=host, port=port), "ROLE")
        except NoPermissionError:
            return
        if role[0] == b"slave":
            raise ReadOnlyError(f"Sentinel names {host}:{port}, which is a replica")


class Cluster:
    """A Redis Cluster: a key's slot decides its node."""

    def __init__(self, url: str, timeout: float) -> None:
        address = parse(url)
        self._make = _maker(address)
        self._timeout = timeout
        self._seeds = [f"{host}:{port}" for host, port in address.hosts]
        self._slots: list[Slots] = []

    def locate(self, key: str | bytes | float) -> str:
        slot = key_slot(key if isinstance(key, bytes) else str(key).encode())
        for first, last, node in self._slots:
            if first <= slot <= last:
                return node
        raise KeyError(key)

    def nodes(self) -> Collection[str]:
        return {node for *_, node in self._slots}

    async def refresh(self) -> None:
        known = dict.fromkeys([*self.nodes(), *self._seeds])
        async with asyncio.timeout(self._timeout):
            self._slots = await _newest([self._slots_by(node) for node in known])

    async def connect(self, node: str) -> AbstractConnection:
        async with asyncio.timeout(self._timeout):
            return await _connected(self._connection(node))

    def _connection(self, node: str) -> AbstractConnection:
        host, _, port = node.rpartition(":")
        return self._make(host=host, port=int(port))

    async def _slots_by(self, node: str) -> tuple[int, list[Slots]]:
        """The slot map as this node sees it, and the epoch that the node knows."""
        epoch, ranges = await _epoch_and_slots(self._connection(node))
        if not ranges:
            raise RedisConnectionError(f"{node} knows of no slots: it is not part of a cluster yet")
        own_host = node.rpartition(":")[0]
        return epoch, [
            (int(first), int(last), f"{primary[0].decode() if primary[0] else own_host}:{primary[1]}")
            for first, last, primary, *_ in ranges
        ]


def topology(url: str, timeout: float) -> Topology:
    """The topology of a redis_url; `timeout` bounds a connection attempt, in seconds. Raises ValueError."""
    match parse(url).kind:
        case "sentinel":
            return Sentinel(url, timeout)
        case "cluster":
            return Cluster(url, timeout)
        case _:
            return Single(url, timeout)


def _maker(address: Address) -> Make:
    """Makes connections with the URL's options. Raises ValueError for TLS files that cannot be used.

    redis-py's retries and read timeout are off: NodeConnection decides what may be sent again.
    """
    options = address.options | {
        "protocol": 3,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
        "socket_connect_timeout": None,
        "driver_info": None,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    if address.kind == "unix":
        return partial(UnixDomainSocketConnection, path=address.path, **options)
    if not address.tls:
        return partial(Connection, **options)
    try:
        SSLConnection(**options).ssl_context.get()
    except OSError as error:
        raise ValueError(f"the files of the ssl_ options cannot be used: {error}") from None
    return partial(SSLConnection, **options)


async def _connected(connection: AbstractConnection) -> AbstractConnection:
    async with AsyncExitStack() as unless_done:
        unless_done.push_async_callback(connection.disconnect, nowait=True)
        await connection.connect()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        unless_done.pop_all()
    return connection


async def _answer(connection: AbstractConnection, *command: str) -> Any:
    """The reply to one command on a connection of its own."""
    try:
        await _connected(connection)
        await connection.send_command(*command)
        return await connection.read_response()
    finally:
        await connection.disconnect(nowait=True)


async def _epoch_and_slots(connection: AbstractConnection) -> tuple[int, Any]:
    try:
        await _connected(connection)
        await connection.send_command("CLUSTER", "INFO")
        try:
            info = await connection.read_response()
        except ResponseError:  # it may not be asked
            info = b""
        epoch = re.search(rb"cluster_current_epoch:(\d+)", info) if isinstance(info, bytes) else None
        await connection.send_command("CLUSTER", "SLOTS")
        return int(epoch[1]) if epoch else 0, await connection.read_response()
    finally:
        await connection.disconnect(nowait=True)


async def _newest(attempts: Iterable[Coroutine[Any, Any, tuple[int, T]]]) -> T:
    """The result of the highest epoch among the first one and those that come within STRAGGLER_WAIT after it: one stale
    node is not believed. Raises the last error if all fail.
    """
    async with _running(attempts) as tasks:
        await _first_of(tasks)
        await asyncio.wait(tasks, timeout=STRAGGLER_WAIT)
        found = [task.result() for task in tasks if task.done() and task.exception() is None]
    return max(found, key=lambda result: result[0])[1]


async def _first(attempts: Iterable[Coroutine[Any, Any, T]]) -> T:
    """The first result; a hanging call delays no other. Raises the last error if all fail."""
    async with _running(attempts) as tasks:
        return await _first_of(tasks)


@asynccontextmanager
async def _running(attempts: Iterable[Coroutine[Any, Any, T]]) -> AsyncIterator[list["asyncio.Task[T]"]]:
    tasks = [asyncio.create_task(attempt) for attempt in attempts]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _first_of(tasks: list["asyncio.Task[T]"]) -> T:
    error: Exception = RedisConnectionError("no server is known")
    for earliest in asyncio.as_completed(tasks):
        try:
            return await earliest
        except (RedisError, OSError) as failed:
            error = failed
    raise error
