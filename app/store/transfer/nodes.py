"""Commands to each node of a store, one after the other, for work on all keys."""

import asyncio
from collections.abc import Collection
from types import TracebackType
from typing import Any, Self

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

from app.store.connection import Argument, StoreUnavailable
from app.store.topology import Topology

ANSWER_LIMIT = 30.0
"""Seconds to wait for an answer: a batch is small, but the server may be busy with its own file."""


class Nodes:
    """A connection to each primary of a topology. Every method raises StoreUnavailable, ResponseError."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._connections: dict[str, AbstractConnection] = {}

    async def __aenter__(self) -> Self:
        try:
            await self._topology.refresh()
        except (RedisError, OSError) as error:
            raise StoreUnavailable(str(error) or "finding the nodes took too long", sent=False) from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for connection in self._connections.values():
            await connection.disconnect(nowait=True)

    def names(self) -> Collection[str]:
        return sorted(self._topology.nodes())

    def of(self, key: bytes) -> str:
        try:
            return self._topology.locate(key)
        except KeyError:
            raise StoreUnavailable("no node has this key: a part of the cluster is away", sent=False) from None

    async def ask(self, node: str, *command: Argument) -> Any:
        try:
            async with asyncio.timeout(ANSWER_LIMIT):
                connection = self._connections.get(node)
                if connection is None:
                    connection = self._connections[node] = await self._topology.connect(node)
                await connection.send_packed_command(pack_command(command))  # type: ignore[arg-type]  # its stub says: one
                return await connection.read_response()
        except ResponseError:
            raise
        except (RedisError, OSError) as error:
            raise StoreUnavailable(str(error) or "it took too long", sent=True) from None

    async def count(self) -> int:
        return sum([int(await self.ask(node, "DBSIZE")) for node in self.names()])
