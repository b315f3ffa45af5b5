"""The counter in Redis: one script that applies a batch exactly once, and the barrier that proves it durable."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.store.client import ResponseError, Store, StoreUnavailable
from app.store.keys import HITS_CHANGED, HITS_TOTALS, HITS_WORKER_LIFETIME, hits_worker
from app.store.scripts import Script

# A counter that cannot be added to (its total is no number, or too large) fails the whole batch: what the batch had
# added by then is taken back, because a script that fails is not undone by Redis, and the batch will be sent again.
APPLY = Script("""
local last = tonumber(redis.call('HGET', KEYS[2], 'seq') or '0')
local seq = tonumber(ARGV[1])
if seq == last then
  return redis.call('HGET', KEYS[2], 'reply')
elseif seq ~= last + 1 then
  return last
end
local totals = {}
for i = 3, #ARGV, 2 do
  local total = redis.pcall('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
  if type(total) == 'table' then
    for j = 3, i - 2, 2 do
      redis.call('HINCRBY', KEYS[1], ARGV[j], '-' .. ARGV[j + 1])
    end
    return total
  end
  totals[#totals + 1] = string.format('%.0f', total)
end
local reply = table.concat(totals, ' ')
redis.call('HSET', KEYS[2], 'seq', seq, 'reply', reply)
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return reply
""")
BARRIER_WAIT = 200
"""Milliseconds that one look at the barrier may block its connection."""


class SequenceGap(Exception):
    """The store's last batch of this worker is not the one before: it has gone back, or forgot the worker."""

    def __init__(self, last: int) -> None:
        super().__init__(f"the last batch there is {last}")
        self.last = last


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What the server says of itself; in a cluster, the node that has the counters."""

    file: bool
    """It writes an append-only file, and can say what is safe in it."""
    replicas: bool
    """It has replicas that it can wait for."""
    history: str
    """Names its data's history: another one after each restart and fail-over, and harmlessly when a primary gets its
    first replica. Empty: it does not say.
    """


class CounterStore:
    """Raises StoreUnavailable when Redis does not answer. `barrier` has its own connection: WAITAOF blocks it."""

    def __init__(self, store: Store, barrier: Store) -> None:
        self._store = store
        self._barrier = barrier

    @property
    def connections(self) -> int:
        """How often a connection was made: a new one may lead to a server that went back, or to another one."""
        return self._store.connections

    async def apply(self, worker: str, sequence: int, increments: Sequence[str | int]) -> list[int]:
        """Adds `increments` (name, number, name, number ...) once, however often it is sent; the new totals in order.

        Raises Gap unless `sequence` is the worker's last one or the next, and ResponseError if Redis refuses:
        then nothing was added.
        """
        keys = (HITS_TOTALS, hits_worker(worker))
        reply = await APPLY.run(self._store, keys, sequence, HITS_WORKER_LIFETIME, *increments)
        if isinstance(reply, int):
            raise SequenceGap(reply)
        return [int(total) for total in reply.split()]

    async def last(self, worker: str) -> int:
        """The sequence number of the worker's last batch there."""
        return int(await self._store.idempotent("HGET", hits_worker(worker), "seq") or 0)

    async def totals(self, names: Sequence[str]) -> list[int]:
        """The totals now. Raises StoreUnavailable also where Redis answers, but not with totals."""
        try:
            replies = await self._store.idempotent("HMGET", HITS_TOTALS, *names)
            return [int(reply or 0) for reply in replies]
        except (ResponseError, ValueError) as error:
            raise StoreUnavailable(f"no totals: {error}", sent=False) from error

    async def failure(self) -> str | None:
        """Why Redis cannot be asked, in one line; None when it can."""
        try:
            await self._store.idempotent("EXISTS", HITS_TOTALS)
        except (StoreUnavailable, ResponseError) as error:
            return str(error)
        return None

    async def announce(self) -> None:
        """Tells every worker that totals have changed."""
        await self._store.once("PUBLISH", HITS_CHANGED, "")

    async def facts(self) -> ServerInfo:
        try:
            info: bytes = await self._store.idempotent("INFO", "persistence", "replication", near=HITS_TOTALS)
        except ResponseError:  # we may not ask: the barriers are tried all the same
            return ServerInfo(file=True, replicas=False, history="")
        found = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
        return ServerInfo(
            file=found.get("aof_enabled") == "1",
            replicas=found.get("connected_slaves", "0") != "0",
            history=found.get("master_replid", ""),
        )

    async def settled(self, worker: str, *, file: bool, replicas: bool) -> tuple[int, bool]:
        """(the last batch that the server has, whether its file and a replica of it have that, too).

        The barriers speak of what their own connection wrote, so it writes first: it renews the worker's lifetime.
        On a connection that is newer than that they would promise anything.
        """
        key, connections = hits_worker(worker), self._barrier.connections
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
            reply = await self._barrier.idempotent(*command, BARRIER_WAIT, near=HITS_TOTALS)
        except ResponseError:  # an older server, or the file was turned off: nothing to wait for
            return True
        return bool((reply[0] if isinstance(reply, list) else reply) >= 1)
