"""Tokens in Redis: encrypted, with a lock and a fencing token, so that an older one never replaces a newer one."""

from collections.abc import Collection
from dataclasses import dataclass, field

from app.accounts.secret import digest
from app.store.client import Store
from app.store.encryption import Encryption
from app.store.keys import wechat as wechat_keys
from app.store.scripts import Script
from app.store.tracking import Fields, TrackedHashes, Tracking

LOCK_MILLISECONDS = 2_000
"""After this time the lock of a dead holder is free. A holder that lives renews it."""
FORCED_A_DAY, FORCED_APART, DAY = 20, 30, 86_400
"""WeChat's bounds of forced refreshes, the latter two in seconds."""
CLASSIC_REPLACED, CLASSIC_WINDOW = 10, 600
"""Tokens of the classic API that failed calls may replace in so many seconds: 1,440 a day, where WeChat gives 2,000."""

# The same holder gets the same number again after a lost reply.
ACQUIRE = Script("""
local lock, fence = unpack(KEYS)
local held = redis.call('GET', lock)
if held == ARGV[1] then return tonumber(redis.call('GET', fence)) end
if held then return 0 end
redis.call('SET', lock, ARGV[1], 'PX', ARGV[2])
return redis.call('INCR', fence)
""")
RENEW = Script("if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end")
RELEASE = Script("if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end")
SAVE = Script("""
if tonumber(redis.call('HGET', KEYS[1], 'fence') or 0) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'fence', unpack(ARGV))
return 1
""")
EXPIRE = Script("""
if redis.call('HGET', KEYS[1], 'digest') == ARGV[1] then redis.call('HSET', KEYS[1], 'expires', '0') end
""")
UNPAUSE = Script("""
local errcode = redis.call('HGET', KEYS[1], 'errcode')
for _, mended in ipairs(ARGV) do
  if errcode == mended then redis.call('HSET', KEYS[1], 'paused', '0') end
end
""")
# The times of the last forced refreshes, newest first. A retry after a lost reply counts twice, which is only stricter.
FORCE = Script("""
local now, most, apart, day = unpack(ARGV)
local last, first = redis.call('LINDEX', KEYS[1], 0), redis.call('LINDEX', KEYS[1], most - 1)
if (last and now - last < tonumber(apart)) or (first and now - first < tonumber(day)) then return 0 end
redis.call('LPUSH', KEYS[1], now)
redis.call('LTRIM', KEYS[1], 0, most - 1)
redis.call('EXPIRE', KEYS[1], day)
return 1
""")


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token or ticket. Times are Unix seconds; `errcode` is of the last refused refresh, `paused` its end."""

    value: str = field(default="", repr=False)
    expires: float = 0
    refreshed: float = 0
    errcode: int = 0
    paused: float = 0


class StoredTokens:
    """All tokens; one object in each worker."""

    def __init__(self, tracking: Tracking, encryption: Encryption) -> None:
        self.store: Store = tracking.store
        self.encryption = encryption
        self.cache = TrackedHashes(tracking, self._parse)

    def of(self, account: str, kind: str) -> "TokenStore":
        return TokenStore(self, account, kind)

    def _parse(self, _: str, fields: Fields) -> StoredToken:
        value = self.encryption.decrypt(fields[b"value"])
        return StoredToken(
            value=(value or b"").decode(),
            expires=float(fields[b"expires"]) if value else 0,
            refreshed=float(fields[b"refreshed"]),
            errcode=int(fields[b"errcode"]),
            paused=float(fields[b"paused"]),
        )


class TokenStore:
    """One kind of token of one account. Raises StoreUnavailable."""

    def __init__(self, tokens: StoredTokens, account: str, kind: str) -> None:
        self._store = tokens.store
        self._encryption = tokens.encryption
        self._cache = tokens.cache
        self._key = wechat_keys.wechat_token(account, kind)
        self._names = [f"{self._key}:lock", f"{self._key}:fence"]

    async def read(self, *, fresh: bool = False) -> StoredToken:
        """The stored token, from the cache if possible; an empty one if there is none."""
        if fresh:
            self._cache.forget(self._key)
        return await self._cache.read(self._key) or StoredToken()

    async def acquire(self, holder: str) -> int:
        """The fencing token; 0 while another holder has the lock."""
        return int(await ACQUIRE.run(self._store, self._names, holder, LOCK_MILLISECONDS))

    async def renew(self, holder: str) -> None:
        await RENEW.run(self._store, self._names[:1], holder, LOCK_MILLISECONDS)

    async def release(self, holder: str) -> None:
        await RELEASE.run(self._store, self._names[:1], holder)

    async def save(self, token: StoredToken, fence: int) -> bool:
        """Returns whether the token was stored: an older fencing token does not replace a newer one."""
        fields = (
            "value", self._encryption.encrypt(token.value.encode()), "digest", digest(token.value),
            "expires", repr(token.expires), "refreshed", repr(token.refreshed),
            "errcode", token.errcode, "paused", repr(token.paused),
        )  # fmt: skip
        saved = bool(await SAVE.run(self._store, [self._key], fence, *fields))
        self._cache.forget(self._key)
        return saved

    async def may_force(self, now: float) -> bool:
        """Whether a refresh may be forced now; counts it, for all workers."""
        return await self._is_within(now, FORCED_A_DAY, FORCED_APART, DAY)

    async def may_replace_classic(self, now: float) -> bool:
        """Whether a call that failed may cost another token of the classic API; counts it, for all workers."""
        return await self._is_within(now, CLASSIC_REPLACED, 0, CLASSIC_WINDOW)

    async def _is_within(self, now: float, *bounds: int) -> bool:
        return bool(await FORCE.run(self._store, [f"{self._key}:forced"], repr(now), *bounds))

    async def expire(self, value: str) -> None:
        """Expires the token if it has not been replaced."""
        await EXPIRE.run(self._store, [self._key], digest(value))
        self._cache.forget(self._key)

    async def unpause(self, errcodes: Collection[int]) -> None:
        """Ends the pause, if one of these errcodes began it: its reason is gone."""
        await UNPAUSE.run(self._store, [self._key], *errcodes)
        self._cache.forget(self._key)

    async def remove(self) -> None:
        await self._store.idempotent("DEL", self._key)
        self._cache.forget(self._key)
