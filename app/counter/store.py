"""The counter in Redis: one script that applies a batch exactly once, and the barrier that proves it durable."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.store.client import NoScriptError, ResponseError, Store
from app.store.keys import HITS_CHANGED, HITS_TOTALS, HITS_WORKER_LIFETIME, hits_worker

APPLY = """
local last = tonumber(redis.call('HGET', KEYS[2], 'seq') or '0')
local seq = tonumber(ARGV[1])
if seq == last then
  return redis.call('HGET', KEYS[2], 'reply')
elseif seq ~= last + 1 then
  return last
end
local totals = {}
for i = 3, #ARGV, 2 do
  totals[#totals + 1] = redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
end
local reply = table.concat(totals, ' ')
redis.call('HSET', KEYS[2], 'seq', seq, 'reply', reply)
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return reply
"""
APPLY_SHA = hashlib.sha1(APPLY.encode(), usedforsecurity=False).hexdigest()
BARRIER_WAIT = 200
"""Milliseconds that one look at the barrier may block its connection."""


class Gap(Exception):
    """The store's last batch of this worker is not the one before: it has gone back, or forgot the worker."""

    def __init__(self, last: int) -> None:
        super().__init__(f"the last batch there is {last}")
        self.last = last


@dataclass(frozen=True, slots=True)
class Barriers:
    """What the server can promise: a file that it syncs, replicas that it can wait for."""

    file: bool
    replicas: bool


class CounterStore:
    """Raises StoreAway when Redis does not answer. `barrier` runs on a connection of its own: its waits block one."""

    def __init__(self, store: Store, barrier: Store) -> None:
        self._store = store
        self._barrier = barrier

    async def apply(self, worker: str, sequence: int, increments: Sequence[str | int]) -> list[int]:
        """Adds `increments` (name, number, name, number ...) once, however often it is sent; the new totals in order.

        Raises Gap unless `sequence` is the worker's last one or the next.
        """
        arguments = (2, HITS_TOTALS, hits_worker(worker), sequence, HITS_WORKER_LIFETIME, *increments)
        try:
            reply = await self._store.idempotent("EVALSHA", APPLY_SHA, *arguments)
        except NoScriptError:
            reply = await self._store.idempotent("EVAL", APPLY, *arguments)
        if isinstance(reply, int):
            raise Gap(reply)
        return [int(total) for total in reply.split()]

    async def totals(self, names: Sequence[str]) -> list[int]:
        replies = await self._store.idempotent("HMGET", HITS_TOTALS, *names)
        return [int(reply or 0) for reply in replies]

    async def announce(self) -> None:
        """Tells every worker that totals have changed."""
        await self._store.once("PUBLISH", HITS_CHANGED, "")

    async def barriers(self) -> Barriers:
        info: bytes = await self._barrier.idempotent("INFO", "persistence", "replication")
        facts = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
        return Barriers(file=facts.get("aof_enabled") == "1", replicas=facts.get("connected_slaves", "0") != "0")

    async def settled(self, worker: str, barriers: Barriers) -> tuple[int, bool]:
        """(the last batch that the server has, whether it promises to keep it).

        The barriers speak of what their own connection wrote, so it writes first: it renews the worker's lifetime.
        """
        key = hits_worker(worker)
        last = int(await self._barrier.idempotent("HGET", key, "seq") or 0)
        await self._barrier.idempotent("PEXPIRE", key, HITS_WORKER_LIFETIME)
        held = True
        if barriers.file:
            held = await self._wait("WAITAOF", 1, 0)
        if held and barriers.replicas:
            held = await self._wait("WAIT", 1)
        return last, held

    async def _wait(self, *command: Any) -> bool:
        try:
            reply = await self._barrier.idempotent(*command, BARRIER_WAIT)
        except ResponseError:  # an older server, or the file was turned off: nothing to wait for
            return True
        return bool((reply[0] if isinstance(reply, list) else reply) >= 1)
