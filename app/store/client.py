"""What features see of Redis: commands with explicit rules on repeating them, and subscriptions."""

import asyncio
import math
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Self

from redis.exceptions import (
    AskError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoScriptError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from app.store.connect import Topology
from app.store.pipeline import Argument, Reply, StoreAway, Tracker, Wire

__all__ = ["NoScriptError", "ResponseError", "Store", "StoreAway"]

KEYLESS = frozenset({"PING", "INFO", "PUBLISH", "SCRIPT", "WAIT", "WAITAOF"})
NOT_APPLIED = (MovedError, TryAgainError, ClusterDownError, MasterDownError)
PASSING = 0.05
"""Seconds to wait while a cluster moves a slot or elects a primary."""
RESUBSCRIBE = 0.2
"""Seconds between two attempts to subscribe again."""


class Store:
    """Commands to Redis, each on the wire of the node that holds its key.

    Every method raises StoreAway when Redis does not answer within `timeout` seconds, and ResponseError for
    an error that Redis answers.
    """

    def __init__(self, topology: Topology, timeout: float, tracker: Tracker | None = None) -> None:
        self._topology = topology
        self._timeout = timeout
        self._tracker = tracker
        self._wires: dict[str, Wire] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> Self:
        with suppress(StoreAway):  # the service starts without Redis, and /ready says so
            await self.idempotent("PING")
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def sibling(self, tracker: Tracker | None = None) -> "Store":
        """Another store on connections of its own: for commands that block theirs (WAITAOF), or to track keys."""
        return Store(self._topology, self._timeout, tracker)

    @property
    def up(self) -> bool:
        """Whether every connection that has been used is there."""
        return bool(self._wires) and all(wire.up for wire in self._wires.values())

    @property
    def commands(self) -> int:
        return sum(wire.commands for wire in self._wires.values())

    @property
    def connections(self) -> int:
        return sum(wire.connections for wire in self._wires.values())

    async def once(self, *command: Argument) -> Reply:
        """For a command that must not be applied twice: after StoreAway with `sent`, nobody knows whether it was."""
        deadline = self._deadline()
        while True:
            wire = await self._wire(command)
            try:
                return await wire.send(*command)
            except AskError as error:
                wire = await self._wire_to(f"{error.host}:{error.port}")
                wire.send("ASKING")
                return await wire.send(*command)
            except NOT_APPLIED as error:
                if self._left(deadline) <= 0:
                    raise StoreAway(str(error), sent=False) from None
                await asyncio.sleep(PASSING)
                await self._refresh()

    async def idempotent(self, *command: Argument) -> Reply:
        """For reads, and writes that may be applied twice (SET, HSET, DEL, a script with a sequence number):
        sent again after a lost connection, until the timeout.
        """
        deadline = self._deadline()
        while True:
            try:
                return await self.once(*command)
            except StoreAway:
                await self._refresh()
                wire = await self._wire(command)
                if self._left(deadline) <= 0 or not await wire.wait_up(self._left(deadline)):
                    raise

    async def subscribe(self, channel: str) -> AsyncGenerator[bytes | None]:
        """The messages of a channel, for ever; None after each (re)connection: something may have been missed."""
        while True:
            try:
                connection = await self._topology.connect(await self._node(channel))
                try:
                    await connection.send_command("SUBSCRIBE", channel)
                    while True:
                        kind, _, message = await connection.read_response(timeout=math.inf, push_request=True)
                        yield None if kind == b"subscribe" else message
                finally:
                    await connection.disconnect(nowait=True)
            except (RedisError, OSError):
                await asyncio.sleep(RESUBSCRIBE)

    async def _wire(self, command: tuple[Argument, ...]) -> Wire:
        return await self._wire_to(await self._node(_key(command)))

    async def _wire_to(self, node: str) -> Wire:
        wire = self._wires.get(node)
        if wire is None:
            wire = self._wires[node] = Wire(
                lambda: self._topology.connect(node), timeout=self._timeout, tracker=self._tracker
            )
            self._tasks.add(asyncio.create_task(wire.run(), name=f"redis {node}"))
            await wire.wait_up(self._timeout)
        return wire

    async def _node(self, key: str) -> str:
        try:
            return self._topology.locate(key)
        except KeyError:
            try:
                await self._topology.refresh()
                return self._topology.locate(key)
            except (RedisError, OSError, KeyError) as error:
                raise StoreAway(str(error), sent=False) from None

    async def _refresh(self) -> None:
        with suppress(RedisError, OSError):
            await self._topology.refresh()

    def _deadline(self) -> float:
        return self._loop.time() + self._timeout

    def _left(self, deadline: float) -> float:
        return deadline - self._loop.time()


def _key(command: tuple[Argument, ...]) -> str:
    name = str(command[0]).split()[0]
    if name in KEYLESS:
        return ""
    return str(command[3 if name in {"EVAL", "EVALSHA"} else 1])
