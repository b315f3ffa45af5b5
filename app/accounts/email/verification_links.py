"""Links that verify an e-mail address: each once, for a day, while the user has this address."""

import secrets
from dataclasses import dataclass

from app.accounts.links import LinkStore
from app.accounts.secret import digest
from app.accounts.users.profile import email_key
from app.accounts.users.profile_store import EmailTaken
from app.store import keys
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


class EmailLinks(LinkStore):
    async def create(self, user_id: str, email: str) -> str:
        """Returns the link's secret."""
        secret, _ = await self._create(email_link, LIFETIME, user=user_id, email=email)
        return secret

    async def read(self, secret: str) -> EmailLink | None:
        """What a valid link verifies."""
        user_id, email, used = await self._read(email_link, secret, "user", "email", "used")
        if user_id is None or email is None or used is not None:
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
