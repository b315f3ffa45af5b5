"""Tokens in Redis: encrypted, with a lock and a fencing number, so that an older answer never replaces a newer one."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from app.events.catalogue import WechatMessage
from app.events.event import new_record
from app.events.stream import RAISE
from app.store import keys
from app.store.client import Store
from app.store.encryption import Encryption
from app.store.scripts import Script
from app.store.tracking import Fields, TrackedHashes, Tracking

LOCK_MILLISECONDS = 15_000
"""After which the lock of a dead holder is free."""
REPEAT_SECONDS = 600
"""In which a message that comes again is dropped."""

# The same holder gets the same number again after a lost reply.
ACQUIRE = Script("""
local lock, fence = unpack(KEYS)
local held = redis.call('GET', lock)
if held == ARGV[1] then return tonumber(redis.call('GET', fence)) end
if held then return 0 end
redis.call('SET', lock, ARGV[1], 'PX', ARGV[2])
return redis.call('INCR', fence)
""")
RELEASE = Script("if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end")
SAVE = Script("""
if tonumber(redis.call('HGET', KEYS[1], 'fence') or 0) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'fence', unpack(ARGV))
return 1
""")
# A retry after a lost reply finds the message with its own id.
ADD_MESSAGE = Script(
    RAISE
    + """
local seen = redis.call('GET', KEYS[1])
if seen then return seen == ARGV[1] and 1 or 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
raise_event(KEYS[2], ARGV[3])
return 1
"""
)
EXPIRE = Script("""
if redis.call('HGET', KEYS[1], 'digest') == ARGV[1] then redis.call('HSET', KEYS[1], 'expires', '0') end
""")


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token or ticket. Times are Unix seconds; `errcode` is of the last refused refresh, `paused` its end."""

    value: str = field(default="", repr=False)
    expires: float = 0
    refreshed: float = 0
    errcode: int = 0
    paused: float = 0


class TokenStore:
    """One kind of token of one account. Raises StoreUnavailable."""

    def __init__(self, tracking: Tracking, encryption: Encryption, account: str, kind: str) -> None:
        self._store: Store = tracking.store
        self._encryption = encryption
        self._key = keys.wechat_token(account, kind)
        self._names = [f"{self._key}:lock", f"{self._key}:fence"]
        self._cache = TrackedHashes(tracking, self._parse)

    async def read(self, *, fresh: bool = False) -> StoredToken:
        """The stored token, usually from memory; an empty one if there is none."""
        if fresh:
            self._cache.forget(self._key)
        return await self._cache.read(self._key) or StoredToken()

    async def acquire(self, holder: str) -> int:
        """The fencing number; 0 while another holder has the lock."""
        return int(await ACQUIRE.run(self._store, self._names, holder, LOCK_MILLISECONDS))

    async def release(self, holder: str) -> None:
        await RELEASE.run(self._store, self._names[:1], holder)

    async def save(self, token: StoredToken, fence: int) -> bool:
        """Whether the token was stored: an older number does not replace a newer one."""
        fields = (
            "value", self._encryption.encrypt(token.value.encode()), "digest", _digest(token.value),
            "expires", repr(token.expires), "refreshed", repr(token.refreshed),
            "errcode", token.errcode, "paused", repr(token.paused),
        )  # fmt: skip
        saved = bool(await SAVE.run(self._store, [self._key], fence, *fields))
        self._cache.forget(self._key)
        return saved

    async def expire(self, value: str) -> None:
        """Expires the token if it is still this one."""
        await EXPIRE.run(self._store, [self._key], _digest(value))
        self._cache.forget(self._key)

    def _parse(self, _: str, fields: Fields) -> StoredToken | None:
        try:
            value = self._encryption.decrypt(fields[b"value"])
            return StoredToken(
                value=(value or b"").decode(),
                expires=float(fields[b"expires"]) if value else 0,
                refreshed=float(fields[b"refreshed"]),
                errcode=int(fields[b"errcode"]),
                paused=float(fields[b"paused"]),
            )
        except (KeyError, ValueError):
            return None


class Messages:
    """Stores each message once, as an event in the stream of raised events. Raises StoreUnavailable."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def add(self, identity: str, event: WechatMessage) -> bool:
        """Whether the message came for the first time. Nothing is stored for a repeat."""
        touched = [keys.wechat_seen(_digest(identity)), keys.raised("wechat")]
        record = new_record(event, self._clock)
        return bool(await ADD_MESSAGE.run(self._store, touched, record.id, REPEAT_SECONDS, record.dump()))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
