"""From a URL to connections: a single server, Sentinel or Cluster, each as redis-py's own connections."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

SENTINEL_PORT, REDIS_PORT = 26379, 6379


class Topology(Protocol):
    """Which nodes there are, which of them holds a key, and how to connect to one."""

    def locate(self, key: str) -> str:
        """The name of the node that holds the key; KeyError when `refresh` has to find out first."""

    async def refresh(self) -> None:
        """Looks again at which node holds what. Raises RedisError or OSError."""

    async def connect(self, node: str) -> AbstractConnection:
        """A new connection, ready for commands. Raises RedisError or OSError."""


class Single:
    """One server, over TCP, TLS or a unix socket."""

    def __init__(self, url: str, timeout: float, prepare: Callable[[], None] | None = None) -> None:
        options: dict[str, Any] = {**parse_url(url)}
        self._class: type[AbstractConnection] = options.pop("connection_class", Connection)
        self._options = _options(timeout) | options
        if issubclass(self._class, UnixDomainSocketConnection):
            self._options.pop("socket_keepalive")
        self._prepare = prepare

    def locate(self, key: str) -> str:
        return ""

    async def refresh(self) -> None:
        return

    async def connect(self, node: str) -> AbstractConnection:
        if self._prepare is not None:
            self._prepare()
        return await _connected(self._class(**self._options))


class Behind:
    """The primary that Sentinel names, found anew at each connection."""

    def __init__(self, url: str, timeout: float) -> None:
        hosts, path, options = _several(url, SENTINEL_PORT)
        service, _, db = path.partition("/")
        if not service:
            raise ValueError("the URL has to name Sentinel's service: redis+sentinel://host:26379/service")
        secret = options.pop("sentinel_password", None)
        user = options.pop("sentinel_username", None)
        common = _options(timeout)
        sentinel: Any = Sentinel(  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            hosts, sentinel_kwargs=common | {"password": secret, "username": user}
        )
        self._client = sentinel.master_for(service, db=int(db or 0), **common | options)

    def locate(self, key: str) -> str:
        return ""

    async def refresh(self) -> None:
        return

    async def connect(self, node: str) -> AbstractConnection:
        connection: AbstractConnection = self._client.connection_pool.make_connection()
        return await _connected(connection)


class Cluster:
    """A Redis Cluster: each key's slot has its node."""

    def __init__(self, url: str, timeout: float) -> None:
        hosts, _, options = _several(url, REDIS_PORT)
        self._class = SSLConnection if options.pop("ssl", False) else Connection
        self._options = _options(timeout) | options
        self._seeds = [f"{host}:{port}" for host, port in hosts]
        self._slots: list[tuple[int, int, str]] = []

    def locate(self, key: str) -> str:
        slot = key_slot(key.encode())
        for first, last, node in self._slots:
            if first <= slot <= last:
                return node
        raise KeyError(key)

    async def refresh(self) -> None:
        error: Exception = RedisConnectionError("no node of the cluster answers")
        for node in dict.fromkeys([node for *_, node in self._slots] + self._seeds):
            try:
                connection = await self.connect(node)
                try:
                    await connection.send_command("CLUSTER", "SLOTS")
                    ranges = await connection.read_response()
                finally:
                    await connection.disconnect(nowait=True)
            except (RedisError, OSError) as failed:
                error = failed
                continue
            own_host = node.rpartition(":")[0]
            self._slots = [
                (int(first), int(last), f"{primary[0].decode() if primary[0] else own_host}:{primary[1]}")
                for first, last, primary, *_ in ranges
            ]
            return
        raise error

    async def connect(self, node: str) -> AbstractConnection:
        host, _, port = node.rpartition(":")
        return await _connected(self._class(host=host.strip("[]"), port=int(port), **self._options))


def topology(url: str, timeout: float) -> Topology:
    """The topology of a redis_url; `timeout` bounds a connection attempt, in seconds. Raises ValueError."""
    scheme = urlsplit(url).scheme
    if scheme.endswith("+sentinel"):
        return Behind(url, timeout)
    if scheme.endswith("+cluster"):
        return Cluster(url, timeout)
    return Single(url, timeout)


def _options(timeout: float) -> dict[str, Any]:
    """No retry and no read timeout of redis-py's: the wire has its own rules, which say what may be sent again."""
    return {
        "protocol": 3,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
        "socket_connect_timeout": timeout,
        "socket_keepalive": True,
        "driver_info": None,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }


def _several(url: str, default_port: int) -> tuple[list[tuple[str, int]], str, dict[str, Any]]:
    """(hosts, path, connection options) of a URL that names several hosts, separated by commas."""
    parts = urlsplit(url)
    login, _, places = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    hosts = []
    for place in places.split(","):
        one = urlsplit(f"//{place}")
        if not one.hostname:
            raise ValueError(f"the URL names an empty host: {parts.scheme}://host:{default_port},host:{default_port}")
        hosts.append((one.hostname, one.port or default_port))
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    if user:
        options["username"] = unquote(user)
    if password:
        options["password"] = unquote(password)
    if parts.scheme.startswith("rediss"):
        options["ssl"] = True
    return hosts, parts.path.strip("/"), options


async def _connected(connection: AbstractConnection) -> AbstractConnection:
    try:
        await connection.connect()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    except asyncio.CancelledError:
        await connection.disconnect(nowait=True)
        raise
    return connection
