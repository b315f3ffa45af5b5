"""Logout messages that wait to be sent to clients. Coroutines raise StoreUnavailable."""

import secrets
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from app.store.client import Store
from app.store.keys import oauth_server as keys
from app.store.scripts import Script

MAX_MESSAGES = 100_000
"""Messages that wait; further ones are dropped."""
FAILURE_LIFETIME = 30 * 86_400
ENQUEUE = Script("""
local due, messages = KEYS[1], KEYS[2]
if redis.call('HLEN', messages) >= tonumber(ARGV[1]) then return 0 end
if redis.call('HSETNX', messages, ARGV[3], ARGV[4]) == 1 then redis.call('ZADD', due, ARGV[2], ARGV[3]) end
return 1
""")
# What is claimed is due again after the lease: the worker may have died.
CLAIM = Script("""
local due, messages = KEYS[1], KEYS[2]
local found = {}
for _, id in ipairs(redis.call('ZRANGE', due, '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[3])) do
  local message = redis.call('HGET', messages, id)
  if message then
    redis.call('ZADD', due, ARGV[2], id)
    found[#found + 1] = id
    found[#found + 1] = message
  else
    redis.call('ZREM', due, id)
  end
end
return found
""")
RETRY = Script("""
local due, messages = KEYS[1], KEYS[2]
if redis.call('HEXISTS', messages, ARGV[1]) == 0 then return end
redis.call('HSET', messages, ARGV[1], ARGV[3])
redis.call('ZADD', due, ARGV[2], ARGV[1])
""")
SETTLE = Script("redis.call('HDEL', KEYS[2], ARGV[1]) redis.call('ZREM', KEYS[1], ARGV[1])")
QUEUE = [keys.LOGOUTS_DUE, keys.LOGOUTS]


@dataclass(frozen=True, slots=True)
class LogoutMessage:
    """The end of a user's session, to be told to a client. `tries` counts the attempts that failed."""

    client: str
    user: str
    sid: str
    tries: int = 0


@dataclass(frozen=True, slots=True)
class LogoutFailure:
    """A message that a client did not take. `at` is Unix seconds."""

    at: float
    why: str


class LogoutStore:
    def __init__(self, store: Store, session_lifetime: int) -> None:
        self._store = store
        self._session_lifetime = session_lifetime

    async def sign_in(self, root: str, client_id: str) -> None:
        """Notes that a session has signed in to a client that is told of its end."""
        name = keys.signed_in(root)
        await self._store.idempotent("SADD", name, client_id)
        await self._store.idempotent("EXPIRE", name, self._session_lifetime)

    async def signed_in(self, root: str) -> list[str]:
        """The clients that a session has signed in to."""
        return [each.decode() for each in await self._store.idempotent("SMEMBERS", keys.signed_in(root))]

    async def forget(self, root: str) -> None:
        await self._store.idempotent("DEL", keys.signed_in(root))

    async def enqueue(self, message: LogoutMessage, now: float) -> bool:
        """Returns whether there was room."""
        text = orjson.dumps(asdict(message))
        return bool(await ENQUEUE.run(self._store, QUEUE, MAX_MESSAGES, now, secrets.token_hex(8), text))

    async def claim(self, now: float, lease: float, count: int) -> list[tuple[str, LogoutMessage]]:
        """Messages that are due, with their ids; they are due again after `lease` seconds."""
        found: list[bytes] = await CLAIM.run(self._store, QUEUE, now, now + lease, count)
        return [
            (each.decode(), LogoutMessage(**orjson.loads(text)))
            for each, text in zip(found[::2], found[1::2], strict=True)
        ]

    async def retry(self, message_id: str, message: LogoutMessage, at: float) -> None:
        await RETRY.run(self._store, QUEUE, message_id, at, orjson.dumps(asdict(message)))

    async def settle(self, message_id: str) -> None:
        """Forgets a message that was taken or given up."""
        await SETTLE.run(self._store, QUEUE, message_id)

    async def note_failure(self, client_id: str, failure: LogoutFailure | None) -> None:
        """Keeps the last failure for the client's page; None after a success."""
        name = keys.logout_failed(client_id)
        if failure is None:
            await self._store.idempotent("DEL", name)
        else:
            await self._store.idempotent("SET", name, orjson.dumps(asdict(failure)), "EX", FAILURE_LIFETIME)

    async def failure(self, client_id: str) -> LogoutFailure | None:
        text: Any = await self._store.idempotent("GET", keys.logout_failed(client_id))
        return None if text is None else LogoutFailure(**orjson.loads(text))
