"""The counter in Redis: a script that applies a batch exactly once, and the barrier that proves it durable."""

from collections.abc import Sequence

from app.counter.batch_store import BatchStore, SequenceGap
from app.events.stream import RAISE_REACHED
from app.store.client import ResponseError, Store, StoreUnavailable
from app.store.keys import HITS_CHANGED, HITS_TOTALS, HITS_WORKER_LIFETIME, hits_worker, raised
from app.store.scripts import Script

# A counter that cannot be incremented (not a number, or too large) fails the whole batch. The script takes back its
# earlier increments, because Redis does not roll back a failed script, and the batch is sent again.
APPLY = Script(
    RAISE_REACHED
    + """
local last = tonumber(redis.call('HGET', KEYS[2], 'seq') or '0')
local seq = tonumber(ARGV[1])
if seq == last then
  return redis.call('HGET', KEYS[2], 'reply')
elseif seq ~= last + 1 then
  return last
end
local totals = {}
for i = 4, #ARGV, 2 do
  local total = redis.pcall('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
  if type(total) == 'table' then
    for j = 4, i - 2, 2 do
      redis.call('HINCRBY', KEYS[1], ARGV[j], '-' .. ARGV[j + 1])
    end
    return total
  end
  totals[#totals + 1] = string.format('%.0f', total)
end
local reply = table.concat(totals, ' ')
redis.call('HSET', KEYS[2], 'seq', seq, 'reply', reply)
redis.call('PEXPIRE', KEYS[2], ARGV[2])
if ARGV[3] ~= '' then
  for i, total in ipairs(totals) do
    local name, by = ARGV[2 + 2 * i], ARGV[3 + 2 * i]
    raise_reached(KEYS[3], 'counter.reached', 'counter', name, 'total', total - by, tonumber(total), ARGV[3])
  end
end
return reply
"""
)


class CounterStore(BatchStore[Sequence[int]]):
    """The counters in one hash. Passing one of the numbers `reached` raises an event."""

    def __init__(self, store: Store, barrier: Store, reached: Sequence[int] = ()) -> None:
        super().__init__(store, barrier, near=HITS_TOTALS)
        self._reached = " ".join(map(str, reached))

    def worker_key(self, worker: str) -> str:
        return hits_worker(worker)

    async def apply(self, worker: str, sequence: int, arguments: Sequence[str | int | bytes]) -> list[int]:
        """Adds `arguments` (name, number, name, number ...); the new totals in order."""
        keys = (HITS_TOTALS, hits_worker(worker), raised("hits"))
        reply = await APPLY.run(self._store, keys, sequence, HITS_WORKER_LIFETIME, self._reached, *arguments)
        if isinstance(reply, int):
            raise SequenceGap(reply)
        return [int(total) for total in reply.split()]

    async def totals(self, names: Sequence[str]) -> list[int]:
        """The totals. Raises StoreUnavailable, also if Redis replies with something else."""
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
