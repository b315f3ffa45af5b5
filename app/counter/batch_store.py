"""The base of stores of exact batches: applies them, and proves them durable."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from app.store.client import ResponseError, Store
from app.store.keys import HITS_WORKER_LIFETIME

R = TypeVar("R")
NO_EVICTION = "noeviction"
BARRIER_WAIT = 200
"""Milliseconds for which WAITAOF or WAIT may block its connection."""


class SequenceGap(Exception):
    """The stored sequence number is not the previous one: the server lost data, or the worker's record."""

    def __init__(self, last: int) -> None:
        super().__init__(f"the last batch there is {last}")
        self.last = last


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """INFO of the server; in a cluster, of the node that holds the counters."""

    file: bool
    """The server writes an append-only file and supports WAITAOF."""
    replicas: bool
    """The server has replicas for WAIT."""
    history: str
    """The replication id. It changes at each restart and fail-over, and (harmlessly) when a primary gets its first
    replica. Empty if unknown.
    """
    evicts: str = ""
    """The maxmemory-policy, where it deletes keys when the memory is full."""


class BatchStore(Generic[R]):
    """Raises StoreUnavailable when Redis does not answer. `barrier` has its own connection: WAITAOF blocks it."""

    def __init__(self, store: Store, barrier: Store, near: str) -> None:
        self._store = store
        self._barrier = barrier
        self._near = near

    @property
    def connections(self) -> int:
        """The number of connections made: a new one may lead to a server that lost data, or to another server."""
        return self._store.connections

    def worker_key(self, worker: str) -> str:
        """The worker's record: its last sequence number `seq`, and the `reply` to it."""
        raise NotImplementedError

    async def apply(self, worker: str, sequence: int, arguments: Sequence[str | int | bytes]) -> R:
        """Applies a batch once, however often it is sent.

        Raises SequenceGap unless `sequence` is the worker's last one or the next, and ResponseError if Redis refuses:
        then nothing was added.
        """
        raise NotImplementedError

    async def last(self, worker: str) -> int:
        """The sequence number of the worker's last applied batch."""
        return int(await self._store.idempotent("HGET", self.worker_key(worker), "seq") or 0)

    async def server_info(self) -> ServerInfo:
        try:
            info: bytes = await self._store.idempotent("INFO", "persistence", "replication", "memory", near=self._near)
        except ResponseError:  # INFO is forbidden: the barriers are tried all the same
            return ServerInfo(file=True, replicas=False, history="")
        found = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
        return ServerInfo(
            file=found.get("aof_enabled") == "1",
            replicas=found.get("connected_slaves", "0") != "0",
            history=found.get("master_replid", ""),
            evicts=policy if (policy := found.get("maxmemory_policy", NO_EVICTION)) != NO_EVICTION else "",
        )

    async def settled(self, worker: str, *, file: bool, replicas: bool) -> tuple[int, bool]:
        """(the last applied batch, whether the append-only file and a replica have it).

        A barrier covers the writes of its own connection, so that connection writes first: it renews the worker's
        record. After a reconnect the barrier would cover nothing.
        """
        key, connections = self.worker_key(worker), self._barrier.connections
        last = int(await self._barrier.idempotent("HGET", key, "seq") or 0)
        await self._barrier.idempotent("PEXPIRE", key, HITS_WORKER_LIFETIME)
        held = True
        if file:
            held = await self._wait("WAITAOF", 1, 0)
        if held and replicas:
            held = await self._wait("WAIT", 1)
        return last, held and self._barrier.connections == connections

    async def _wait(self, *command: Any) -> bool:
        try:
            reply = await self._barrier.idempotent(*command, BARRIER_WAIT, near=self._near)
        except ResponseError:  # an older server, or the append-only file is off: nothing to wait for
            return True
        return bool((reply[0] if isinstance(reply, list) else reply) >= 1)
