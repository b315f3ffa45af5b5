"""Links that verify an e-mail address: each once, for a day, while the user has this address."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.accounts.secret import digest, looks_like_secret, new_secret
from app.accounts.users.profile import email_key
from app.accounts.users.profile_store import EmailTaken
from app.store import keys
from app.store.client import Store
from app.store.keys.accounts import email_link
from app.store.scripts import Script

LIFETIME = 86_400
"""Seconds for which a link is valid."""
# A retry after a lost reply finds its own nonce in `used`.
VERIFY = Script("""
local link, user, emails = unpack(KEYS)
local id, email, key, nonce = unpack(ARGV)
local owner, sent_to, used = unpack(redis.call('HMGET', link, 'user', 'email', 'used'))
if used == nonce then return 'verified' end
if used or owner ~= id or sent_to ~= email or redis.call('HGET', user, 'email') ~= email then return 'gone' end
local holder = redis.call('HGET', emails, key)
if holder and holder ~= id then return 'taken' end
redis.call('HSET', user, 'email_verified', '1')
redis.call('HSET', emails, key, id)
redis.call('HSET', link, 'used', nonce)
return 'verified'
""")


@dataclass(frozen=True, slots=True)
class EmailLink:
    user_id: str
    email: str


class EmailLinks:
    """Raises StoreUnavailable. `changed` is called with the key of a user whose address is verified."""

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

    async def create(self, user_id: str, email: str) -> str:
        """Returns the link's secret."""
        secret, expires = new_secret(), self._clock() + LIFETIME
        key = email_link(digest(secret))
        await self._store.idempotent("HSET", key, "user", user_id, "email", email, "expires", repr(expires))
        await self._store.idempotent("EXPIRE", key, LIFETIME)
        return secret

    async def read(self, secret: str) -> EmailLink | None:
        """What a valid link verifies."""
        if not looks_like_secret(secret):
            return None
        user_id, email, expires, used = await self._store.idempotent(
            "HMGET", email_link(digest(secret)), "user", "email", "expires", "used"
        )
        if user_id is None or used is not None or float(expires) <= self._clock():
            return None
        now = await self._store.idempotent("HGET", keys.user(user_id.decode()), "email")
        return EmailLink(user_id.decode(), email.decode()) if now == email else None

    async def use(self, secret: str, link: EmailLink) -> bool:
        """Verifies the address and uses the link up; False if it is no longer valid. Raises EmailTaken."""
        touched = (email_link(digest(secret)), keys.user(link.user_id), keys.ACCOUNT_EMAILS)
        arguments = (link.user_id, link.email, email_key(link.email), secrets.token_hex(8))
        outcome = await VERIFY.run(self._store, touched, *arguments)
        if outcome == b"taken":
            raise EmailTaken
        self._changed(touched[1])
        return bool(outcome == b"verified")
