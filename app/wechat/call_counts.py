"""Counts responses by account, path and errcode: in memory first, then in Redis for all workers."""

from collections import Counter
from collections.abc import Iterator

import orjson
from prometheus_client.core import CounterMetricFamily, Metric

from app.store.client import ResponseError, Store, StoreUnavailable
from app.store.keys import wechat as wechat_keys
from app.store.scripts import Script

INTERVAL = 1.0
"""Seconds between two flushes."""
MAX_COUNTED = 5000
"""Different counts; further ones are dropped."""
Call = tuple[str, str, int]
"""(account, path, errcode); instead of an errcode this service's status where WeChat's response is not usable."""

# A batch that is sent again after a lost reply adds nothing.
ADD = Script("""
local counts, batch = unpack(KEYS)
if not redis.call('SET', batch, '1', 'EX', 600, 'NX') then return 0 end
for i = 2, #ARGV, 2 do
  if redis.call('HEXISTS', counts, ARGV[i]) == 1 or redis.call('HLEN', counts) < tonumber(ARGV[1]) then
    redis.call('HINCRBY', counts, ARGV[i], ARGV[i + 1])
  end
end
return 1
""")


class CallCounts:
    """`worker` is a unique name of the worker."""

    def __init__(self, store: Store, worker: str) -> None:
        self._store = store
        self._worker = worker
        self._number = 0
        self._batch: Counter[Call] = Counter()
        self._waiting: Counter[Call] = Counter()
        self._totals: dict[Call, int] = {}

    def add(self, account: str, path: str, errcode: int) -> None:
        call = (account, path, errcode)
        if call in self._waiting or len(self._waiting) < MAX_COUNTED:
            self._waiting[call] += 1

    async def totals(self) -> dict[Call, int]:
        """All counts, including this worker's last second. Raises StoreUnavailable."""
        await self._flush()
        found = await self._store.idempotent("HGETALL", wechat_keys.WECHAT_CALLS)
        self._totals = {_call(name): int(count) for name, count in found.items()}
        return self._totals

    async def flush(self) -> None:
        """`totals`, for the background."""
        try:
            await self.totals()
        except (StoreUnavailable, ResponseError):  # the counts wait
            return

    async def _flush(self) -> None:
        if not self._batch and self._waiting:
            self._batch, self._waiting = self._waiting, Counter()
            self._number += 1
        if self._batch:
            pairs = [part for call, count in self._batch.items() for part in (orjson.dumps(call), count)]
            batch = wechat_keys.wechat_batch(self._worker, self._number)
            await ADD.run(self._store, [wechat_keys.WECHAT_CALLS, batch], MAX_COUNTED, *pairs)
            self._batch = Counter()

    def metrics(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "tallygate_wechat_calls", "Responses of WeChat's API.", labels=["account", "path", "errcode"]
        )
        for (account, path, errcode), count in self._totals.items():
            family.add_metric([account, path, str(errcode)], count)
        yield family


def _call(name: bytes) -> Call:
    account, path, errcode = orjson.loads(name)
    return account, path, errcode
