"""A queue in Redis of jobs with a due time, for all workers. It survives a restart."""

import secrets
from collections.abc import Sequence

from app.store.client import Store
from app.store.connection import Argument
from app.store.scripts import Script

# A retry after a lost reply finds its own job.
ENQUEUE = Script("""
local due, jobs = KEYS[1], KEYS[2]
if redis.call('HEXISTS', jobs, ARGV[3]) == 1 then return 1 end
if redis.call('HLEN', jobs) >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', jobs, ARGV[3], ARGV[4])
redis.call('ZADD', due, ARGV[2], ARGV[3])
return 1
""")
# A claimed job is due again after the lease: the worker may have died.
CLAIM = Script("""
local due, jobs = KEYS[1], KEYS[2]
local found = {}
for _, id in ipairs(redis.call('ZRANGE', due, '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[3])) do
  local job = redis.call('HGET', jobs, id)
  if job then
    redis.call('ZADD', due, ARGV[2], id)
    found[#found + 1] = id
    found[#found + 1] = job
  else
    redis.call('ZREM', due, id)
  end
end
return found
""")
RETRY = Script("""
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then return end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
""")
SETTLE = Script("redis.call('HDEL', KEYS[2], ARGV[1]) redis.call('ZREM', KEYS[1], ARGV[1])")


class DelayedQueue:
    """`keys`: a sorted set of ids by when they are due (Unix seconds), and a hash of the jobs, `limit` at most.

    Coroutines raise StoreUnavailable.
    """

    def __init__(self, store: Store, keys: Sequence[str], limit: int) -> None:
        self._store = store
        self._keys = keys
        self._limit = limit

    @staticmethod
    def new_id() -> str:
        return secrets.token_hex(8)

    async def enqueue(self, job_id: str, job: Argument, at: float) -> bool:
        """Returns whether there was room."""
        return bool(await ENQUEUE.run(self._store, self._keys, self._limit, at, job_id, job))

    async def claim(self, now: float, lease: float, count: int) -> list[tuple[str, bytes]]:
        """Jobs that are due, with their ids; they are due again after `lease` seconds."""
        if count <= 0:
            return []
        found: list[bytes] = await CLAIM.run(self._store, self._keys, now, now + lease, count)
        return [(each.decode(), job) for each, job in zip(found[::2], found[1::2], strict=True)]

    async def retry(self, job_id: str, job: Argument, at: float) -> None:
        await RETRY.run(self._store, self._keys, job_id, at, job)

    async def settle(self, job_id: str) -> None:
        """Removes a job that is done or given up."""
        await SETTLE.run(self._store, self._keys, job_id)
