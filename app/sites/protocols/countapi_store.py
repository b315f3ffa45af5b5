"""Counters by namespace and name, as CountAPI and abacus have them."""

from app.sites.batch import ValueFuture
from app.sites.counting_script import COUNTER_LIFETIME, MAX_OF_COUNTER
from app.sites.hit_senders import HitSenders
from app.sites.models import bucket_of
from app.store import keys
from app.store.client import Store
from app.store.scripts import Script

# ARGV: action, number, hash of the key, now, lifetime, largest value. Returns {old, new} or the name of an error.
CHANGE = Script("""
local action, number, key = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local old = redis.call('HGET', KEYS[1], 'value')
if action == 'create' then
  if old then return 'exists' end
  redis.call('HSET', KEYS[1], 'value', ARGV[2], 'key', key, 'created', ARGV[4])
else
  if not old then return 'missing' end
  local own = redis.call('HGET', KEYS[1], 'key')
  if not own or own ~= key then return 'forbidden' end
  if action == 'delete' then
    redis.call('DEL', KEYS[1])
    return {tonumber(old), 0}
  end
  local value = action == 'update' and tonumber(old) + number or number
  if math.abs(value) > tonumber(ARGV[6]) then return 'full' end
  redis.call('HSET', KEYS[1], 'value', string.format('%.0f', value))
end
redis.call('EXPIRE', KEYS[1], ARGV[5])
return {tonumber(old or '0'), tonumber(redis.call('HGET', KEYS[1], 'value'))}
""")

# A read prolongs the lifetime, at most once a day. ARGV: the lifetime, and from what on it is prolonged.
READ = Script("""
local value = redis.call('HGET', KEYS[1], 'value')
if value and redis.call('TTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return value
""")
DAY = 86_400


class CountApiStore:
    """Raises StoreUnavailable when Redis does not answer; `hit` answers None then, and counts later."""

    def __init__(self, store: Store, senders: HitSenders) -> None:
        self._store = store
        self._senders = senders

    def is_away(self, counter: str) -> bool:
        return self._senders.is_away(bucket_of(counter))

    def hit(self, counter: str) -> ValueFuture:
        """Counts a hit of `<namespace>:<name>` exactly once."""
        return self._senders.hit_named(bucket_of(counter), counter)

    async def get(self, counter: str) -> int | None:
        reply = await READ.run(self._store, [_key(counter)], COUNTER_LIFETIME, COUNTER_LIFETIME - DAY)
        return None if reply is None else int(reply)

    async def info(self, counter: str) -> tuple[int, int, bool] | None:
        """(value, seconds until it is forgotten, whether it has a key)."""
        value, own = await self._store.idempotent("HMGET", _key(counter), "value", "key")
        if value is None:
            return None
        return int(value), int(await self._store.idempotent("TTL", _key(counter))), own is not None

    async def change(
        self, action: str, counter: str, now: float, number: int = 0, key_hash: str = ""
    ) -> tuple[int, int] | str:
        """`action` is create, set, update or delete. Returns (old value, new value), or an error: exists, missing,
        forbidden, full. Never applied twice; after StoreUnavailable it may have been applied.
        """
        arguments = (action, number, key_hash, int(now), COUNTER_LIFETIME, MAX_OF_COUNTER)
        reply = await CHANGE.run_once(self._store, [_key(counter)], *arguments)
        return reply.decode() if isinstance(reply, bytes) else (int(reply[0]), int(reply[1]))


def _key(counter: str) -> str:
    return keys.countapi(bucket_of(counter), counter)
