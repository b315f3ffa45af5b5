"""Rate limits: allowances in Redis, the same for all workers (the generic cell rate algorithm)."""

import hashlib
import ipaddress
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.store import keys
from app.store.client import Store
from app.store.scripts import Script

# The generic cell rate algorithm: each key holds the time at which its allowance is whole again. All allowances are
# spent or none is. A retry after a lost reply spends twice, which only makes the limit stricter. A time further ahead
# than a whole period was stored before the clock was set back: it is capped.
SPEND = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2] + tonumber(ARGV[1])
local whole, wait = {}, 0
for i, key in ipairs(KEYS) do
  local times, period = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local stored = tonumber(redis.call('GET', key) or 0)
  if stored > now + period then
    stored = now + period
    redis.call('SET', key, string.format('%.0f', stored), 'PX', math.ceil(period / 1000))
  end
  whole[i] = math.max(stored, now) + period / times
  wait = math.max(wait, whole[i] - now - period)
end
if wait < 1 then
  for i, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.0f', whole[i]), 'PX', math.ceil((whole[i] - now) / 1000))
  end
  return 0
end
return math.ceil(wait)
""")
MICROSECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Rule:
    """Allows `times` requests at once; the allowance refills evenly, completely within `seconds`."""

    name: str
    times: int
    seconds: int


class RateLimiter:
    """Spends allowances. Raises StoreUnavailable.

    `ahead` is for tests: by how many seconds Redis' clock is moved. `changed` are the rules that settings change, by
    name.
    """

    def __init__(self, store: Store, *, ahead: float = 0) -> None:
        self._store = store
        self.ahead = ahead
        self.changed: Mapping[str, Rule] = {}

    async def spend(self, *allowances: tuple[Rule, str]) -> int:
        """Spends one of each (rule, subject), or none. Returns the seconds to wait; 0 when it was spent."""
        rules = [self.changed.get(rule.name, rule) for rule, _ in allowances]
        buckets = [limit_key(rule, subject) for rule, subject in allowances]
        sizes: Sequence[int] = [size for rule in rules for size in (rule.times, rule.seconds * MICROSECOND)]
        wait: int = await SPEND.run(self._store, buckets, int(self.ahead * MICROSECOND), *sizes)
        return math.ceil(wait / MICROSECOND)

    async def reset(self, rule: Rule, subject: str) -> None:
        """Makes the allowance whole again."""
        await self._store.idempotent("DEL", limit_key(rule, subject))


def address_key(address: str) -> str:
    """The subject of a limit by address: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def limit_key(rule: Rule, subject: str) -> str:
    """The key of an allowance. The subject is hashed: it may be a secret or a password typed into the wrong field."""
    return keys.limit(rule.name, hashlib.sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()[:32])
