"""Reset links: each sets one new password, unless the password or the address that it was sent to changes."""

import hashlib
import time
from collections.abc import Callable

from app.accounts.secret import digest, looks_like_secret, new_secret
from app.store import keys
from app.store.client import Store
from app.store.scripts import Script

LIFETIME = 86_400
"""Seconds for which a link of an administrator is valid."""
MAILED_LIFETIME = 3600
"""Seconds for which a link by e-mail is valid."""
# A retry after a lost reply finds the new password already set, and succeeds.
RESET = Script("""
local link, user = unpack(KEYS)
local password = ARGV[1]
local id, stamp, email = unpack(redis.call('HMGET', link, 'user', 'stamp', 'email'))
local now = redis.call('HGET', user, 'password') or ''
if now == password then return 1 end
if not id or redis.call('EXISTS', user) == 0 or redis.sha1hex(now) ~= stamp
  or (email and redis.call('HGET', user, 'email') ~= email) then
  redis.call('DEL', link)
  return 0
end
redis.call('HSET', user, 'password', password)
redis.call('DEL', link)
return 1
""")


class ResetLinks:
    """Raises StoreUnavailable. `changed` is called with the key of a user whose password is set."""

    def __init__(
        self,
        store: Store,
        *,
        changed: Callable[[str], None] = lambda key: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._changed = changed
        self._clock = clock

    async def create(self, user_id: str, password_hash: str | None, email: str = "") -> tuple[str, float]:
        """Returns (the link's secret, when it expires). It is good for this password of the user only, and for this
        `email` if it is sent there.
        """
        lifetime = MAILED_LIFETIME if email else LIFETIME
        secret, expires = new_secret(), self._clock() + lifetime
        key, stamp = keys.reset_link(digest(secret)), _stamp((password_hash or "").encode())
        await self._store.idempotent("HSET", key, "user", user_id, "stamp", stamp, "expires", repr(expires))
        if email:
            await self._store.idempotent("HSET", key, "email", email)
        await self._store.idempotent("EXPIRE", key, lifetime)
        return secret, expires

    async def user_of(self, secret: str) -> str | None:
        """The id of the user whose password a valid link sets."""
        if not looks_like_secret(secret):
            return None
        user, stamp, expires, sent_to = await self._store.idempotent(
            "HMGET", keys.reset_link(digest(secret)), "user", "stamp", "expires", "email"
        )
        if user is None or float(expires) <= self._clock():
            return None
        password, email = await self._store.idempotent("HMGET", keys.user(user.decode()), "password", "email")
        valid = _stamp(password or b"") == stamp.decode() and sent_to in (None, email)
        return user.decode() if valid else None

    async def use(self, secret: str, user_id: str, password_hash: str) -> bool:
        """Sets the password and uses the link up; False, with nothing changed, if it is no longer valid."""
        touched = (keys.reset_link(digest(secret)), keys.user(user_id))
        done = bool(await RESET.run(self._store, touched, password_hash))
        self._changed(touched[1])
        return done


def _stamp(password_hash: bytes) -> str:
    """Tells password hashes apart; Redis' scripts know SHA-1 only."""
    return hashlib.sha1(password_hash, usedforsecurity=False).hexdigest()
