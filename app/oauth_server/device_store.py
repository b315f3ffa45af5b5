"""Pending device authorizations (RFC 8628). Coroutines raise StoreUnavailable."""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from app.accounts.secret import digest
from app.store.client import Store
from app.store.keys import oauth_server as keys
from app.store.scripts import Script

DEVICE_LIFETIME = 600
INTERVAL = 5
"""Seconds between two polls; each early poll adds as many."""
ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
"""Without vowels, so that no code is a word (RFC 8628, 6.1)."""
CODE_LENGTH = 8
DEVICE_CODE = re.compile("[A-Za-z0-9_-]{43}")
BEGIN = Script("""
redis.call('HSET', KEYS[1], 's', 'waiting', 'i', ARGV[1], 'd', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
""")
POLL = Script("""
local device, now = KEYS[1], tonumber(ARGV[1])
local state = redis.call('HGET', device, 's')
if not state then return {'expired', ''} end
if state ~= 'waiting' then return {state, redis.call('HGET', device, 'f') or ''} end
local last, interval = redis.call('HGET', device, 'p'), tonumber(redis.call('HGET', device, 'i'))
redis.call('HSET', device, 'p', ARGV[1])
if last and now - tonumber(last) < interval then
  redis.call('HINCRBY', device, 'i', ARGV[2])
  return {'slow_down', ''}
end
return {'waiting', ''}
""")
# A retry of the same decision after a lost reply finds its family.
DECIDE = Script("""
local device = KEYS[1]
local state = redis.call('HGET', device, 's')
if state == ARGV[1] and redis.call('HGET', device, 'f') == ARGV[2] then return 1 end
if state ~= 'waiting' then return 0 end
redis.call('HSET', device, 's', ARGV[1], 'f', ARGV[2])
return 1
""")


@dataclass(frozen=True, slots=True)
class Device:
    """A pending device. `id` is the digest of its device code; `asked` is the scope as it was sent."""

    id: str
    client: str
    scopes: tuple[str, ...]
    asked: tuple[str, ...]


class DeviceStore:
    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def begin(self, client_id: str, scopes: tuple[str, ...], asked: tuple[str, ...]) -> tuple[str, str]:
        """(the device code, the user code)."""
        device_code = secrets.token_urlsafe(32)
        device_id = digest(device_code)
        fields = orjson.dumps([client_id, scopes, asked])
        await BEGIN.run(self._store, [keys.device(device_id)], INTERVAL, fields, DEVICE_LIFETIME)
        user_code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
        while not await self._store.once("SET", keys.user_code(user_code), device_id, "NX", "EX", DEVICE_LIFETIME):
            user_code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
        return device_code, f"{user_code[:4]}-{user_code[4:]}"

    async def find(self, user_code: str) -> Device | None:
        """The pending device with this user code; case and punctuation do not matter."""
        code = re.sub("[^A-Z]", "", user_code.upper())
        if len(code) != CODE_LENGTH:
            return None
        device_id = await self._store.idempotent("GET", keys.user_code(code))
        return await self.get(device_id.decode()) if device_id is not None else None

    async def get(self, device_id: str) -> Device | None:
        text = await self._store.idempotent("HGET", keys.device(device_id), "d")
        if text is None:
            return None
        client, scopes, asked = orjson.loads(text)
        return Device(device_id, client, tuple(scopes), tuple(asked))

    async def decide(self, device: Device, family_id: str | None) -> bool:
        """Allows the device with a family of tokens, or denies it. Returns whether it still waited."""
        state = "denied" if family_id is None else "allowed"
        return bool(await DECIDE.run(self._store, [keys.device(device.id)], state, family_id or ""))

    async def poll(self, device_id: str) -> tuple[str, str]:
        """(waiting, slow_down, expired, denied or allowed; the family's id)."""
        state, family = await POLL.run(self._store, [keys.device(device_id)], f"{self._clock():.0f}", INTERVAL)
        return state.decode(), family.decode()
