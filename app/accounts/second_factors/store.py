"""Second factors in Redis: passkeys, the secret of TOTP, recovery codes; challenges and sign-ins that wait.

The field `second_factors` of a user's hash names the kinds that the user has. The scripts keep it right.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import orjson

from app.accounts.second_factors.passkeys import Passkey
from app.accounts.secret import digest, looks_like_secret, new_secret
from app.sessions.signing import signing_keys
from app.settings import Settings
from app.store import keys
from app.store.client import Store
from app.store.encryption import Encryption
from app.store.keys import accounts as own_keys
from app.store.records import from_stored
from app.store.reencryption import reencrypt_field
from app.store.scripts import Script

CHALLENGE_LIFETIME = 300
PENDING_LIFETIME = 600
"""Seconds for which a sign-in waits for its second factor."""
MAX_PASSKEYS = 20
REENCRYPTED_AT_ONCE = 200
# Every script that changes factors has the same four keys. Without a factor, recovery codes have no use.
CHANGES = """
local user, totp, passkeys, codes = unpack(KEYS)
local function noted()
  local kinds = {}
  if redis.call('EXISTS', passkeys) == 1 then kinds[#kinds + 1] = 'passkey' end
  if redis.call('EXISTS', totp) == 1 then kinds[#kinds + 1] = 'totp' end
  if #kinds > 0 then
    redis.call('HSET', user, 'second_factors', table.concat(kinds, ','))
  else
    redis.call('HDEL', user, 'second_factors')
    redis.call('DEL', codes)
  end
end
if redis.call('EXISTS', user) == 0 then return 'unknown' end
"""
ADD_PASSKEY = Script(
    CHANGES
    + """
local id, record, most = unpack(ARGV)
if redis.call('HEXISTS', passkeys, id) == 0 and redis.call('HLEN', passkeys) >= tonumber(most) then return 'many' end
redis.call('HSET', passkeys, id, record)
noted()
return 'added'
"""
)
SET_TOTP = Script(
    CHANGES
    + """
redis.call('DEL', totp)
redis.call('HSET', totp, 'secret', ARGV[1], 'step', ARGV[2], 'created', ARGV[3])
noted()
return 'added'
"""
)
REMOVE = Script(
    CHANGES
    + """
local kind, id = unpack(ARGV)
local removed = 0
if kind ~= 'passkey' then removed = redis.call('DEL', totp) end
if kind == 'passkey' then removed = redis.call('HDEL', passkeys, id) end
if kind == 'all' then removed = removed + redis.call('DEL', passkeys, codes) end
noted()
return removed
"""
)
NEW_CODES = Script(
    CHANGES
    + """
if redis.call('HEXISTS', user, 'second_factors') == 0 then return 'unknown' end
redis.call('DEL', codes)
for _, hash in ipairs(ARGV) do redis.call('HSET', codes, hash, '') end
return 'added'
"""
)
# The three below are given a random text `by`, so that a retry after a lost reply succeeds and a second use does not.
USE_STEP = Script("""
local step, by = unpack(ARGV)
local last, last_by = unpack(redis.call('HMGET', KEYS[1], 'step', 'by'))
if not last then return 0 end
if last_by == by then return 1 end
if tonumber(step) <= tonumber(last) then return 0 end
redis.call('HSET', KEYS[1], 'step', step, 'by', by)
return 1
""")
USE_CODE = Script("""
local hash, by = unpack(ARGV)
local used_by = redis.call('HGET', KEYS[1], hash)
if not used_by or (used_by ~= '' and used_by ~= by) then return 0 end
redis.call('HSET', KEYS[1], hash, by)
return 1
""")
# A counter that does not grow is a sign of a cloned authenticator (Web Authentication, 7.2, step 22). 0: none is kept.
USE_PASSKEY = Script("""
local id, count, now, by = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local text = redis.call('HGET', KEYS[1], id)
if not text then return 'unknown' end
local passkey = cjson.decode(text)
if passkey.by == by then return 'used' end
if (count > 0 or passkey.count > 0) and count <= passkey.count then return 'cloned' end
passkey.count, passkey.used, passkey.by = count, now, by
redis.call('HSET', KEYS[1], id, cjson.encode(passkey))
return 'used'
""")
RENAME_PASSKEY = Script("""
local text = redis.call('HGET', KEYS[1], ARGV[1])
if not text then return 0 end
local passkey = cjson.decode(text)
passkey.name = ARGV[2]
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(passkey))
return 1
""")


class TooManyPasskeys(Exception):
    """The user has MAX_PASSKEYS."""


class Cloned(Exception):
    """The counter of a passkey has not grown: there may be a copy of it."""


@dataclass(frozen=True, slots=True)
class PendingSignIn:
    """A sign-in after the first factor. `password` is a hash of the password's hash: a new password ends it.

    `provider_sign_in` is empty after a password. After a sign-in at a provider it holds the result, encrypted by that
    feature.
    """

    user: str
    password: str
    brief: bool | None
    provider_sign_in: str = ""


class SecondFactors:
    """Raises StoreUnavailable. `changed` is called with the key of each written user."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        changed: Callable[[str], None] = lambda key: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._encryption = Encryption(signing_keys(settings), "second-factor")
        self._changed = changed
        self.clock = clock

    async def passkeys(self, user_id: str) -> list[Passkey]:
        """Oldest first."""
        found = await self._store.idempotent("HVALS", own_keys.passkeys(user_id))
        return sorted(map(_passkey, found), key=lambda passkey: passkey.created)

    async def passkey(self, user_id: str, credential_id: str) -> Passkey | None:
        found = await self._store.idempotent("HGET", own_keys.passkeys(user_id), credential_id)
        return _passkey(found) if found is not None else None

    async def add_passkey(self, user_id: str, passkey: Passkey) -> None:
        """Raises TooManyPasskeys."""
        outcome = await self._change(ADD_PASSKEY, user_id, passkey.id, orjson.dumps(asdict(passkey)), MAX_PASSKEYS)
        if outcome == b"many":
            raise TooManyPasskeys

    async def rename_passkey(self, user_id: str, credential_id: str, name: str) -> bool:
        """Whether the user has the passkey."""
        return bool(await RENAME_PASSKEY.run(self._store, [own_keys.passkeys(user_id)], credential_id, name))

    async def use_passkey(self, user_id: str, credential_id: str, count: int) -> bool:
        """Whether the user has the passkey still. Raises Cloned."""
        touched, now = [own_keys.passkeys(user_id)], repr(self.clock())
        outcome = await USE_PASSKEY.run(self._store, touched, credential_id, count, now, secrets.token_hex(8))
        if outcome == b"cloned":
            raise Cloned
        return bool(outcome == b"used")

    async def set_totp(self, user_id: str, secret: str, step: int) -> None:
        """Replaces a former secret. The code of `step` has been used."""
        await self._change(SET_TOTP, user_id, self.sealed(user_id, secret), step, repr(self.clock()))

    async def totp_secret(self, user_id: str) -> str | None:
        sealed = await self._store.idempotent("HGET", own_keys.totp(user_id), "secret")
        return self.opened(user_id, sealed) if sealed is not None else None

    def sealed(self, user_id: str, secret: str) -> str:
        """The secret, encrypted for this user."""
        return self._encryption.encrypt(secret.encode(), user_id)

    def opened(self, user_id: str, sealed: str | bytes) -> str | None:
        secret = self._encryption.decrypt(sealed, user_id)
        return secret.decode() if secret is not None else None

    async def reencrypt(self) -> None:
        """The TOTP secrets of all users."""
        cursor = b"0"
        while True:
            cursor, found = await self._store.idempotent(
                "HSCAN", keys.ACCOUNT_NAMES, cursor, "COUNT", REENCRYPTED_AT_ONCE
            )
            users = [user_id.decode() for user_id in found[1::2]]
            await asyncio.gather(
                *(reencrypt_field(self._store, self._encryption, own_keys.totp(user), "secret", user) for user in users)
            )
            if cursor == b"0":
                return

    async def use_step(self, user_id: str, step: int) -> bool:
        """Whether no code of this step or a later one was used."""
        return bool(await USE_STEP.run(self._store, [own_keys.totp(user_id)], step, secrets.token_hex(8)))

    async def set_codes(self, user_id: str, hashes: list[str]) -> None:
        """Replaces all recovery codes."""
        await self._change(NEW_CODES, user_id, *hashes)

    async def use_code(self, user_id: str, code_hash: str) -> bool:
        """Whether it is an unused recovery code of the user."""
        return bool(
            await USE_CODE.run(self._store, [own_keys.recovery_codes(user_id)], code_hash, secrets.token_hex(8))
        )

    async def unused_codes(self, user_id: str) -> int:
        used_by = await self._store.idempotent("HVALS", own_keys.recovery_codes(user_id))
        return sum(by == b"" for by in used_by)

    async def remove_totp(self, user_id: str) -> bool:
        return bool(await self._change(REMOVE, user_id, "totp", ""))

    async def remove_passkey(self, user_id: str, credential_id: str) -> bool:
        return await self._change(REMOVE, user_id, "passkey", credential_id) == 1

    async def remove_all(self, user_id: str) -> bool:
        """Returns whether the user had any."""
        return await self._change(REMOVE, user_id, "all", "") not in {0, b"unknown"}

    async def _change(self, script: Script, user_id: str, *arguments: str | bytes | int) -> object:
        touched = (
            keys.user(user_id), own_keys.totp(user_id), own_keys.passkeys(user_id), own_keys.recovery_codes(user_id)
        )  # fmt: skip
        outcome = await script.run(self._store, touched, *arguments)
        self._changed(touched[0])
        return outcome

    async def new_challenge(self, purpose: str) -> bytes:
        """A random challenge for this purpose: valid once, for CHALLENGE_LIFETIME seconds."""
        challenge = secrets.token_bytes(32)
        key = own_keys.challenge(digest(challenge.hex()))
        await self._store.idempotent("SET", key, purpose, "EX", CHALLENGE_LIFETIME)
        return challenge

    async def take_challenge(self, challenge: bytes, purpose: str) -> bool:
        """Whether the challenge was made for this purpose and not yet taken."""
        found = await self._store.once("GETDEL", own_keys.challenge(digest(challenge.hex())))
        return bool(found == purpose.encode())

    async def keep_pending(self, pending: PendingSignIn) -> str:
        """Returns the secret of the waiting sign-in."""
        secret = new_secret()
        key = own_keys.pending_sign_in(digest(secret))
        await self._store.idempotent("SET", key, orjson.dumps(pending), "EX", PENDING_LIFETIME)
        return secret

    async def pending(self, secret: str) -> PendingSignIn | None:
        if not looks_like_secret(secret):
            return None
        found = await self._store.idempotent("GET", own_keys.pending_sign_in(digest(secret)))
        try:
            return from_stored(PendingSignIn, orjson.loads(found)) if found is not None else None
        except TypeError:
            return None  # of another version, during a rolling update: the user signs in again

    async def end_pending(self, secret: str) -> None:
        await self._store.idempotent("DEL", own_keys.pending_sign_in(digest(secret)))


def _passkey(text: bytes) -> Passkey:
    record = orjson.loads(text)
    record.pop("by", None)
    return from_stored(Passkey, record | {"count": int(record["count"])})
