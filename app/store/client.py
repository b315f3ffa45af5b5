"""The interface to Redis: commands with explicit retry rules."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Self

from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from app.store.connection import Argument, Interrupted, NodeConnection, Reply, StoreUnavailable
from app.store.pushes import Tracker
from app.store.refusals import Refusals
from app.store.topology import OneNode, Topology

__all__ = ["CannotWrite", "NoPermissionError", "NoScriptError", "ResponseError", "Store", "StoreUnavailable"]

KEYLESS = frozenset({"PING", "INFO", "PUBLISH", "SCRIPT", "WAIT", "WAITAOF"})
SCRIPTS = frozenset({"EVAL", "EVALSHA"})
NOT_APPLIED = (MovedError, AskError, TryAgainError, ClusterDownError, MasterDownError, BusyLoadingError)
"""Replies that mean: not applied, and not refused for good."""
UNWRITABLE = ("MISCONF", "NOREPLICAS")
"""Prefixes of errors of a server that lacks disk space or replicas to write."""
BUSY = "BUSY "
"""The error of a server that runs a long script; it has not applied the command."""
RETRY_INTERVAL = 0.05
"""Seconds between attempts while a server loads its data, or a cluster moves a slot or elects a primary."""


class CannotWrite(StoreUnavailable):
    """Redis answers, but takes no writes now: its memory or its disk is full, or replicas are missing."""


class Store:
    """Commands to Redis, each on the connection of the node that holds its key. A command without a key goes to
    the node of the key `near`, or to any node.

    Every method raises StoreUnavailable when Redis does not answer within `timeout` seconds, or cannot write, and
    ResponseError for any other error that Redis answers.
    """

    def __init__(
        self,
        topology: Topology,
        timeout: float,
        tracker: Tracker | None = None,
        refusals: Refusals | None = None,
        connect: Callable[..., NodeConnection] = NodeConnection,
    ) -> None:
        self._connect = connect
        self.refusals = refusals or Refusals()
        self._topology = topology
        self._timeout = timeout
        self._tracker = tracker
        self._nodes: dict[str, NodeConnection] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._past_commands = self._past_connections = 0
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshed_at = float("-inf")
        self._no_node = "no node is known yet"
        self._closed = False
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> Self:
        with suppress(StoreUnavailable, ResponseError):  # the service starts without Redis, and /ready says so
            await self.idempotent("PING")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed = True
        tasks = [*self._tasks.values()] + ([self._refreshing] if self._refreshing else [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def sibling(self, tracker: Tracker | None = None) -> "Store":
        """Another store with its own connections: for commands that block them (WAITAOF), or to track keys."""
        return Store(self._topology, self._timeout, tracker, self.refusals)

    @property
    def up(self) -> bool:
        """Whether every opened connection is up."""
        return bool(self._nodes) and all(connection.up for connection in self._nodes.values())

    @property
    def open_connections(self) -> list[NodeConnection]:
        return [connection for connection in self._nodes.values() if connection.up]

    @property
    def sharded(self) -> bool:
        """Whether several nodes share the keys: then a script reaches only those of one hash tag."""
        return not isinstance(self._topology, OneNode)

    @property
    def commands(self) -> int:
        return self._past_commands + sum(connection.commands for connection in self._nodes.values())

    @property
    def connections(self) -> int:
        return self._past_connections + sum(connection.connections for connection in self._nodes.values())

    async def once(self, *command: Argument) -> Reply:
        """For a command that must not be applied twice: after StoreUnavailable with `sent` it may have been applied."""
        return await self._ask(command, _key(command, ""), self._loop.time() + self._timeout)

    def send(self, *command: Argument) -> asyncio.Future[Reply]:
        """Sends a command at once, without a task. The caller repeats a failed command by `idempotent`. Raises
        StoreUnavailable where the node's connection is not up.
        """
        connection = self._ready(_key(command, ""))
        if connection is None:
            raise StoreUnavailable("not connected", sent=False)
        return connection.send(*command)

    async def idempotent(self, *command: Argument, near: str = "") -> Reply:
        """For reads, and writes that may be applied twice (SET, HSET, DEL, a script with a sequence number):
        sent again after a lost connection, until the timeout.
        """
        key, deadline = _key(command, near), self._loop.time() + self._timeout
        try:
            return await self._ask(command, key, deadline)
        except Interrupted as error:
            return await self._ask_again(command, key, deadline, error)

    async def _ask(self, command: tuple[Argument, ...], key: Argument, deadline: float) -> Reply:
        """Sends a command to the node that has its key; again, or to another node, if that has not applied it."""
        importing: str | None = None
        while True:
            connection = self._ready(key) if importing is None else None
            connection = connection or await self._connection(key, importing, deadline)
            if importing is not None:
                connection.send("ASKING")
            try:
                return await connection.send(*command)
            except NOT_APPLIED as error:
                if self._loop.time() >= deadline:
                    raise StoreUnavailable(str(error), sent=False) from None
                importing = f"{error.host}:{error.port}" if type(error) is AskError else None
            except ResponseError as error:
                if str(error).startswith(BUSY):
                    if self._loop.time() >= deadline:
                        raise StoreUnavailable(str(error), sent=False) from None
                    await asyncio.sleep(RETRY_INTERVAL)
                    continue
                raise self._as_raised(command, error) from None
            if importing is None:
                await asyncio.sleep(RETRY_INTERVAL)
                await self._refresh()

    def _as_raised(self, command: tuple[Argument, ...], error: ResponseError) -> Exception:
        if command[0] not in KEYLESS and isinstance(error, NoPermissionError):
            self.refusals.note_command(str(command[0]), error)
        if isinstance(error, OutOfMemoryError) or str(error).startswith(UNWRITABLE):
            return CannotWrite(str(error), sent=False)
        return error

    async def _ask_again(
        self, command: tuple[Argument, ...], key: Argument, deadline: float, error: StoreUnavailable
    ) -> Reply:
        sent = error.sent
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    try:
                        return await self._ask(command, key, deadline)
                    except Interrupted as interrupted:
                        error = interrupted
                        sent = sent or error.sent
        except TimeoutError:
            raise StoreUnavailable(str(error), sent=sent) from None
        except StoreUnavailable as away:
            raise StoreUnavailable(str(away), sent=sent) from None

    def _ready(self, key: Argument) -> NodeConnection | None:
        """The connection of the key's node, if it is known and up. Does not wait."""
        try:
            connection = self._nodes[self._topology.locate(key)]
        except KeyError:
            return None
        return connection if connection.up else None

    async def _connection(self, key: Argument, node: str | None, deadline: float) -> NodeConnection:
        """The connection of the node, or else of the one that has the key, as soon as it is up."""
        tried: str | None = None
        while True:
            node = node or await self._node(key)
            connection = self._nodes.get(node) or self._open(node)
            if await connection.wait_up(deadline):
                return connection
            if node == tried or self._loop.time() >= deadline:
                raise StoreUnavailable(connection.error or "not connected", sent=False)
            node, tried = None, node
            await self._refresh()

    def _open(self, node: str) -> NodeConnection:
        if self._closed:
            raise StoreUnavailable("the service stops", sent=False)
        connection = self._connect(
            partial(self._topology.connect, node),
            timeout=self._timeout,
            tracker=self._tracker,
            refusals=self.refusals,
            name=node,
        )
        task = asyncio.create_task(connection.run(), name=f"redis {node}")
        task.add_done_callback(partial(self._ended, node))
        self._nodes[node], self._tasks[node] = connection, task
        return connection

    def _ended(self, node: str, task: asyncio.Task[None]) -> None:
        """Removes a connection that was cancelled or failed by a bug: the next command opens another."""
        if not task.cancelled():
            message = f"the connection to {node or 'Redis'} has ended by an error"
            self._loop.call_exception_handler({"message": message, "exception": task.exception(), "task": task})
        connection = self._nodes.pop(node)
        del self._tasks[node]
        self._past_commands += connection.commands
        self._past_connections += connection.connections

    async def _node(self, key: Argument) -> str:
        with suppress(KeyError):
            return self._topology.locate(key)
        await self._refresh()
        try:
            return self._topology.locate(key)
        except KeyError:
            raise StoreUnavailable(self._no_node, sent=False) from None

    async def _refresh(self) -> None:
        """Refreshes the topology: one refresh for all concurrent callers, at most one per RETRY_INTERVAL."""
        if self._refreshing is None or self._refreshing.done():
            if self._loop.time() - self._refreshed_at < RETRY_INTERVAL:
                return
            self._refreshing = asyncio.create_task(self._refresh_now())
        await asyncio.wait([self._refreshing])

    async def _refresh_now(self) -> None:
        try:
            await self._topology.refresh()
            self._no_node = "no node has this key"
        except (RedisError, OSError) as error:
            self._no_node = str(error) or "finding the nodes took too long"
        self._refreshed_at = self._loop.time()
        nodes = self._topology.nodes()
        for node, connection in self._nodes.items():
            if connection.failing and node not in nodes:
                self._tasks[node].cancel()


def _key(command: tuple[Argument, ...], near: str) -> Argument:
    """The key that decides the node of a cluster; empty for any node."""
    name = command[0]
    if name in SCRIPTS:
        return command[3] if command[2] else near
    return near if name in KEYLESS or len(command) == 1 else command[1]
