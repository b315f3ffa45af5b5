"""Linked identities: each is a pair (issuer, subject) and belongs to one user."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from typing import Self

from app.accounts.invitations.invitations import JOIN_GROUPS, find_invitation
from app.accounts.models import User
from app.accounts.users.names import compare_key, normal
from app.accounts.users.store import NEWCOMER, BadInvitation, NameTaken
from app.store import keys
from app.store.client import Store
from app.store.scripts import Script

LINK = Script("""
local identity, identities, user = unpack(KEYS)
local hash, id = unpack(ARGV, 1, 2)
local owner = redis.call('HGET', identity, 'user')
if owner then return owner == id and 'linked' or 'taken' end
if redis.call('EXISTS', user) == 0 then return 'unknown' end
redis.call('HSET', identity, 'user', id, unpack(ARGV, 3))
redis.call('SADD', identities, hash)
return 'linked'
""")
SEEN = Script("""
local owner = redis.call('HGET', KEYS[1], 'user')
if owner then redis.call('HSET', KEYS[1], unpack(ARGV)) end
return owner
""")
# Does nothing if the former identity is gone, or the new one is another user's.
MOVE = Script("""
local former, identity, identities = unpack(KEYS)
local id, former_hash, hash, subject = unpack(ARGV)
if redis.call('HGET', former, 'user') ~= id or redis.call('EXISTS', identity) == 1 then return end
redis.call('RENAME', former, identity)
redis.call('HSET', identity, 'subject', subject)
redis.call('SREM', identities, former_hash)
redis.call('SADD', identities, hash)
""")
# A user without a password keeps at least one identity of a configured provider.
UNLINK = Script("""
local identity, identities, user = unpack(KEYS)
if redis.call('SISMEMBER', identities, ARGV[1]) == 0 then return 'unknown' end
local ways = redis.call('HEXISTS', user, 'password')
for n = 2, #ARGV do ways = ways + redis.call('SISMEMBER', identities, ARGV[n]) end
if ways == 0 then return 'last' end
redis.call('SREM', identities, ARGV[1])
redis.call('DEL', identity)
return 'unlinked'
""")
# A first sign-in: makes the user with the identity and uses up the invitation, or does nothing. The first line makes a
# retry safe, and gives two concurrent first sign-ins the same user.
JOIN = Script(
    JOIN_GROUPS
    + """
local user, names, sorted, invitations, identity, identities, admins = unpack(KEYS, 1, 7)
local id, name, invitation, now, hash, count, admin, groups = unpack(ARGV, 1, 8)
local owner = redis.call('HGET', identity, 'user')
if owner then return owner end
if invitation ~= '' then
  local expires = redis.call('ZSCORE', invitations, invitation)
  if not expires or tonumber(expires) <= tonumber(now) then return 'uninvited' end
end
if redis.call('HEXISTS', names, name) == 1 then return 'taken' end
redis.call('ZREM', invitations, invitation)
redis.call('HSET', names, name, id)
redis.call('ZADD', sorted, 0, name)
redis.call('HSET', user, unpack(ARGV, 9, 8 + count))
redis.call('HSET', identity, 'user', id, unpack(ARGV, 9 + count))
redis.call('SADD', identities, hash)
if admin == '1' then redis.call('SADD', admins, id) end
join_groups(id, now, groups, 8)
return id
"""
)


class IdentityTaken(Exception):
    """The identity is linked to another user."""


class LastWayIn(Exception):
    """The identity is the user's only way to sign in."""


@dataclass(frozen=True, slots=True)
class Identity:
    """`provider` is the name in the settings; `name` and `picture` come from the provider; `linked` is Unix time.

    `app_subject` is what the provider called the user at the last sign-in in its app `app`, where that differs by app.
    `id` is a hash of issuer and subject, which reveals neither.
    """

    issuer: str
    subject: str
    provider: str
    name: str = ""
    picture: str = ""
    app: str = ""
    app_subject: str = ""
    linked: float = 0.0

    @property
    def id(self) -> str:
        """An issuer holds no NUL, so two pairs never give the same text."""
        return hashlib.sha256(f"{self.issuer}\0{self.subject}".encode("utf-8", "surrogatepass")).hexdigest()

    @classmethod
    def from_hash(cls, fields: Mapping[bytes, bytes]) -> Self:
        texts = {name: fields.get(name.encode(), b"").decode("utf-8", "replace") for name in TEXTS}
        return cls(**texts, linked=float(fields.get(b"linked", 0)))

    def to_hash(self) -> list[str]:
        """Field, value, field, value ..."""
        named = {name: getattr(self, name) for name in TEXTS} | {"linked": repr(self.linked)}
        return [part.encode("utf-8", "replace").decode() for pair in named.items() for part in pair]


OF_SIGN_IN = ("name", "picture", "app", "app_subject")
TEXTS = ("issuer", "subject", "provider", *OF_SIGN_IN)


class Identities:
    """Raises StoreUnavailable when Redis does not answer. Every method may be called again after that."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    async def user_of(self, identity: Identity) -> str | None:
        """The id of the identity's user."""
        owner = await self._store.idempotent("HGET", keys.identity(identity.id), "user")
        return owner.decode() if owner is not None else None

    async def seen(self, identity: Identity) -> str | None:
        """The id of the identity's user at a sign-in: also updates what is of this sign-in."""
        fields = [part for name in OF_SIGN_IN for part in (name, getattr(identity, name))]
        owner = await SEEN.run(self._store, [keys.identity(identity.id)], *fields)
        return owner.decode() if owner is not None else None

    async def move(self, former: Identity, identity: Identity) -> None:
        """The provider names the user of `former` otherwise from now on."""
        owner = await self.user_of(former)
        if owner is not None:
            touched = (keys.identity(former.id), keys.identity(identity.id), keys.identities_of(owner))
            await MOVE.run(self._store, touched, owner, former.id, identity.id, identity.subject)

    async def link(self, user_id: str, identity: Identity) -> None:
        """Raises IdentityTaken."""
        touched = (keys.identity(identity.id), keys.identities_of(user_id), keys.user(user_id))
        linked = replace(identity, linked=self._clock())
        if await LINK.run(self._store, touched, identity.id, user_id, *linked.to_hash()) == b"taken":
            raise IdentityTaken

    async def join(
        self,
        name: str,
        identity: Identity,
        invitation: str | None = None,
        *,
        newcomer: bool = False,
        display_name: str = "",
    ) -> tuple[str, bool]:
        """Returns (the id of the identity's user, whether the user is new); a new user has no password. No cookie of a
        former app names a `newcomer`.

        Raises BadName, NameTaken, BadInvitation.
        """
        name, now = normal(name), self._clock()
        invited_as = await find_invitation(self._store, invitation)
        user = User(
            secrets.token_hex(16), name, invited_as.is_admin, False, None, now, False, display_name=display_name,
            email=invited_as.email, groups=invited_as.groups,
        )  # fmt: skip
        fields = user.to_hash() + (NEWCOMER if newcomer else [])
        touched = (
            keys.user(user.id), keys.ACCOUNT_NAMES, keys.ACCOUNT_NAMES_SORTED, keys.INVITATIONS,
            keys.identity(identity.id), keys.identities_of(user.id), keys.ACCOUNT_ADMINS,
            keys.ACCOUNT_GROUPS, *map(keys.group, user.groups),
        )  # fmt: skip
        facts = (
            user.id, compare_key(name), invited_as.id, repr(now), identity.id, len(fields), int(user.is_admin),
            ",".join(user.groups),
        )  # fmt: skip
        match await JOIN.run(self._store, touched, *facts, *fields, *replace(identity, linked=now).to_hash()):
            case b"taken":
                raise NameTaken(name)
            case b"uninvited":
                raise BadInvitation
            case owner:
                return owner.decode(), owner.decode() == user.id

    async def unlink(self, user_id: str, identity_id: str, issuers: Container[str]) -> bool:
        """Whether the user had the identity. `issuers` are those of configured providers. Raises LastWayIn."""
        known = await self.of_user(user_id)
        ways = [other.id for other in known if other.issuer in issuers and other.id != identity_id]
        touched = (keys.identity(identity_id), keys.identities_of(user_id), keys.user(user_id))
        outcome = await UNLINK.run(self._store, touched, identity_id, *ways)
        if outcome == b"last":
            raise LastWayIn
        return bool(outcome == b"unlinked")

    async def remove_all(self, user_id: str) -> None:
        for identity in await self.of_user(user_id):
            await self._store.idempotent("DEL", keys.identity(identity.id))
        await self._store.idempotent("DEL", keys.identities_of(user_id))

    async def of_user(self, user_id: str) -> tuple[Identity, ...]:
        """The user's identities, oldest link first."""
        ids = await self._store.idempotent("SMEMBERS", keys.identities_of(user_id))
        hashes = await asyncio.gather(
            *(self._store.idempotent("HGETALL", keys.identity(one.decode())) for one in sorted(ids))
        )
        return tuple(sorted(map(Identity.from_hash, filter(None, hashes)), key=lambda identity: identity.linked))
