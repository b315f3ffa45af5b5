"""Counters by namespace and name, as CountAPI and abacus have them."""

from app.store import keys
from app.store.client import Store
from app.store.scripts import Script

LIFETIME_SECONDS = 365 * 86_400
"""Since the last change of a counter."""
MAX_VALUE = 2**53
"""Of a counter, above and below zero: JavaScript and Lua count exactly up to it."""

# ARGV: action, number, hash of the key, now, lifetime. Returns {old, new} or the name of an error.
CHANGE = Script("""
local action, number, key = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local old = redis.call('HGET', KEYS[1], 'value')
if action == 'create' then
  if old then return 'exists' end
  redis.call('HSET', KEYS[1], 'value', ARGV[2], 'key', key, 'created', ARGV[4])
elseif action == 'hit' then
  if not old then redis.call('HSET', KEYS[1], 'value', 0, 'created', ARGV[4]) end
  if tonumber(old or '0') >= 9007199254740992 then return 'full' end
  redis.call('HINCRBY', KEYS[1], 'value', 1)
else
  if not old then return 'missing' end
  local own = redis.call('HGET', KEYS[1], 'key')
  if not own or own ~= key then return 'forbidden' end
  if action == 'delete' then
    redis.call('DEL', KEYS[1])
    return {tonumber(old), 0}
  end
  local value = action == 'update' and tonumber(old) + number or number
  if math.abs(value) > 9007199254740992 then return 'full' end
  redis.call('HSET', KEYS[1], 'value', string.format('%.0f', value))
end
redis.call('EXPIRE', KEYS[1], ARGV[5])
return {tonumber(old or '0'), tonumber(redis.call('HGET', KEYS[1], 'value'))}
""")


class CountApiStore:
    """Raises StoreUnavailable when Redis does not answer."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, namespace: str, name: str) -> int | None:
        reply = await self._store.idempotent("HGET", keys.countapi(namespace, name), "value")
        return None if reply is None else int(reply)

    async def info(self, namespace: str, name: str) -> tuple[int, int, bool] | None:
        """(value, seconds until it is forgotten, whether it has a key)."""
        key = keys.countapi(namespace, name)
        value, own = await self._store.idempotent("HMGET", key, "value", "key")
        return None if value is None else (int(value), int(await self._store.idempotent("TTL", key)), own is not None)

    async def change(
        self, action: str, namespace: str, name: str, now: float, number: int = 0, key_hash: str = ""
    ) -> tuple[int, int] | str:
        """`action` is create, hit, set, update or delete. Returns (old value, new value), or an error: exists, missing,
        forbidden, full. Never applied twice; after StoreUnavailable it may have been applied.
        """
        reply = await CHANGE.run_once(
            self._store, [keys.countapi(namespace, name)], action, number, key_hash, int(now), LIFETIME_SECONDS
        )
        return reply.decode() if isinstance(reply, bytes) else (int(reply[0]), int(reply[1]))
