"""Reset links: each sets one new password, unless the password or the address that it was sent to changes."""

import hashlib

from app.accounts.links import LinkStore
from app.accounts.secret import digest
from app.store import keys
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


class ResetLinks(LinkStore):
    async def create(self, user_id: str, password_hash: str | None, email: str = "") -> tuple[str, float]:
        """Returns (the link's secret, when it expires). The link is valid while the user has this password, and this
        `email` if it is sent there.
        """
        stamp = _stamp((password_hash or "").encode())
        if email:
            return await self._create(keys.reset_link, MAILED_LIFETIME, user=user_id, stamp=stamp, email=email)
        return await self._create(keys.reset_link, LIFETIME, user=user_id, stamp=stamp)

    async def user_of(self, secret: str) -> str | None:
        """The id of the user whose password a valid link sets."""
        user, stamp, sent_to = await self._read(keys.reset_link, secret, "user", "stamp", "email")
        if user is None or stamp is None:
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
