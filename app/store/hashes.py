"""Records in hashes: written whole, and changed only if no other request has changed or removed them meanwhile."""

from app.store.client import Store
from app.store.connection import Argument
from app.store.scripts import Script

CREATE = Script("""
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('EXPIRE', KEYS[1], ARGV[1])
""")
# A retry after a lost reply finds what it has written.
COMPARE_AND_SET = Script("""
local field, old, new = unpack(ARGV)
local now = redis.call('HGET', KEYS[1], field)
if now ~= old then return now == new and 1 or 0 end
redis.call('HSET', KEYS[1], field, new)
return 1
""")
SET_IF_EXISTS = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
""")


async def create(store: Store, key: str, seconds: int, *fields: Argument) -> None:
    """Writes fields (name, value, name, value ...) of a hash that expires after so many seconds. Raises
    StoreUnavailable.
    """
    await CREATE.run(store, [key], seconds, *fields)


async def compare_and_set(store: Store, key: str, field: str, old: Argument, new: Argument) -> bool:
    """Whether the field was `old` and is `new`; else nothing has changed. Raises StoreUnavailable."""
    return bool(await COMPARE_AND_SET.run(store, [key], field, old, new))


async def set_if_exists(store: Store, key: str, *fields: Argument) -> bool:
    """Sets fields (name, value, name, value ...) of a hash. Returns whether it exists: a late write must not bring back
    a removed record. Raises StoreUnavailable.
    """
    return bool(await SET_IF_EXISTS.run(store, [key], *fields))
