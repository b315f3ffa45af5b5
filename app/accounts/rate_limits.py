"""How often something may be tried: allowances in Redis, the same for all workers."""

import hashlib
import ipaddress
import math
from collections.abc import Sequence
from dataclasses import dataclass

from app.store import keys
from app.store.client import Store
from app.store.scripts import Script

# The generic cell rate algorithm: each key holds the time at which its allowance is whole again. Either every
# allowance pays or none does. A repetition after a lost answer pays twice, which only makes the limit stricter.
SPEND = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2] + tonumber(ARGV[1])
local whole, wait = {}, 0
for i, key in ipairs(KEYS) do
  local times, period = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  whole[i] = math.max(tonumber(redis.call('GET', key) or 0), now) + period / times
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
    """`times` at once; what is spent comes back evenly, the whole of it in `seconds`."""

    name: str
    times: int
    seconds: int


SIGN_IN_ACCOUNT = Rule("sign-in-account", 10, 300)
SIGN_IN_ADDRESS = Rule("sign-in-address", 50, 300)
SIGN_IN_NOTED = Rule("sign-in-noted", 1, 60)
SIGN_UP = Rule("sign-up", 10, 3600)
SETUP = Rule("setup", 10, 3600)
PASSWORD_CHANGE = Rule("password-change", 10, 3600)
RENAMING = Rule("renaming", 10, 3600)
INVITATION = Rule("invitation", 20, 3600)
ELSEWHERE = Rule("elsewhere", 50, 300)
INVITING = Rule("inviting", 50, 3600)


class RateLimits:
    """Each method spends one try and answers how many seconds to wait before it would be allowed; 0: go ahead.

    `ahead` is for tests: by how many seconds Redis' clock is moved. Raises StoreUnavailable when Redis does not answer.
    """

    def __init__(self, store: Store, *, ahead: float = 0) -> None:
        self._store = store
        self.ahead = ahead

    async def sign_in(self, name: str, address: str) -> int:
        """10 in 5 minutes for an account (by its compare key, whether it exists or not), 50 from an address."""
        return await self._spend((SIGN_IN_ACCOUNT, name), (SIGN_IN_ADDRESS, address_key(address)))

    async def signed_in(self, name: str) -> None:
        """The right password: the account's allowance is whole again, the address's is not."""
        await self._store.idempotent("DEL", _key(SIGN_IN_ACCOUNT, name))

    async def sign_in_noted(self, address: str) -> int:
        """Once a minute for an address: a flood of refused attempts must not wash out the audit log."""
        return await self._spend((SIGN_IN_NOTED, address_key(address)))

    async def sign_up(self, address: str) -> int:
        """10 an hour from an address."""
        return await self._spend((SIGN_UP, address_key(address)))

    async def setup(self, address: str) -> int:
        """10 an hour from an address."""
        return await self._spend((SETUP, address_key(address)))

    async def password_change(self, user_id: str) -> int:
        """10 an hour for a user: somebody may have found the browser open."""
        return await self._spend((PASSWORD_CHANGE, user_id))

    async def renaming(self, user_id: str) -> int:
        """10 an hour for a user: each try tells whether somebody has that name."""
        return await self._spend((RENAMING, user_id))

    async def invitation(self, secret: str) -> int:
        """20 an hour with one invitation."""
        return await self._spend((INVITATION, secret))

    async def elsewhere(self, address: str) -> int:
        """50 in 5 minutes from an address: each makes us ask a provider."""
        return await self._spend((ELSEWHERE, address_key(address)))

    async def inviting(self, user_id: str) -> int:
        """50 invitations an hour by a user."""
        return await self._spend((INVITING, user_id))

    async def _spend(self, *allowances: tuple[Rule, str]) -> int:
        buckets = [_key(rule, subject) for rule, subject in allowances]
        sizes: Sequence[int] = [size for rule, _ in allowances for size in (rule.times, rule.seconds * MICROSECOND)]
        wait: int = await SPEND.run(self._store, buckets, int(self.ahead * MICROSECOND), *sizes)
        return math.ceil(wait / MICROSECOND)


def address_key(address: str) -> str:
    """Whom an address stands for: a household has one IPv4 address, or a /64 network of IPv6 addresses."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _key(rule: Rule, subject: str) -> str:
    """The subject as a hash: it may be what somebody typed into the wrong field, or a secret."""
    return keys.limit(rule.name, hashlib.sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()[:32])
