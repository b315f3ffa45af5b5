"""Invitations: links that allow one sign-up each."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

from app.accounts.secret import digest, looks_like_secret, new_secret
from app.store import hashes, keys
from app.store.client import Store

MAX_LISTED_INVITATIONS = 100
JOIN_GROUPS = """
local function join_groups(id, now, names, first)
  local n = first
  for name in string.gmatch(names, '[^,]+') do
    n = n + 1
    redis.call('HSETNX', KEYS[first], name, now)
    redis.call('SADD', KEYS[n], id)
  end
end
"""
"""Lua that makes a new user a member: the hash of all groups is the key `first`, the sets of `names` follow it."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation without its secret. Times are Unix seconds; `by` is the id of the inviting user.

    The new account has the `email` (not verified), the role and the `groups`; the `note` is for the administrators.
    """

    id: str
    by: str
    created: float
    expires: float
    email: str = ""
    note: str = ""
    is_admin: bool = False
    groups: tuple[str, ...] = ()

    @classmethod
    def from_hash(cls, invitation_id: str, expires: float, fields: Mapping[bytes, bytes]) -> Self:
        def text(name: bytes) -> str:
            return fields.get(name, b"").decode()

        groups = tuple(filter(None, text(b"groups").split(",")))
        is_admin = fields.get(b"admin") == b"1"
        return cls(
            invitation_id, text(b"by"), float(fields[b"created"]), expires, text(b"email"), text(b"note"), is_admin,
            groups,
        )  # fmt: skip


NO_INVITATION = Invitation("", "", 0.0, 0.0)


async def find_invitation(store: Store, secret: str | None) -> Invitation:
    """The invitation of a secret. An invalid one has only an id, which the scripts refuse."""
    if secret is None:
        return NO_INVITATION
    key = digest(secret)
    fields = await store.idempotent("HGETALL", keys.invitation(key))
    if not fields:
        return replace(NO_INVITATION, id=key)
    return Invitation.from_hash(key, float(fields.get(b"expires", 0)), fields)


class Invitations:
    """Raises StoreUnavailable when Redis does not answer.

    `AccountStore.create` and `Identities.join` use an invitation up in the step that makes the account: a taken name
    does not cost it.
    """

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    async def create(
        self,
        by: str,
        lifetime: int,
        *,
        email: str = "",
        note: str = "",
        is_admin: bool = False,
        groups: Iterable[str] = (),
    ) -> str:
        """Makes an invitation that is valid for `lifetime` seconds. Returns its secret."""
        secret, now = new_secret(), self._clock()
        made = Invitation(digest(secret), by, now, now + lifetime, email, note, is_admin, tuple(groups))
        key = keys.invitation(made.id)
        await self._store.idempotent("ZREMRANGEBYSCORE", keys.INVITATIONS, "-inf", repr(now))
        await hashes.create(
            self._store, key, lifetime, "by", by, "created", repr(now), "email", email, "note", note,
            "admin", int(is_admin), "groups", ",".join(made.groups), "expires", repr(made.expires),
        )  # fmt: skip
        await self._store.idempotent("ZADD", keys.INVITATIONS, repr(made.expires), made.id)
        return secret

    async def peek(self, secret: str) -> bool:
        """Whether the invitation is valid."""
        if not looks_like_secret(secret):
            return False
        return await self._expires(digest(secret)) is not None

    async def valid(self, secret: str | None) -> str | None:
        """The secret if its invitation is valid: with open registration it still gives its role and groups."""
        return secret if secret is not None and await self.peek(secret) else None

    async def by_secret(self, secret: str) -> Invitation:
        return await find_invitation(self._store, secret)

    async def by_id(self, invitation_id: str) -> Invitation | None:
        """The valid invitation; None otherwise."""
        expires = await self._expires(invitation_id)
        return await self._invitation(invitation_id, expires) if expires is not None else None

    async def list(self) -> tuple[Invitation, ...]:
        """The valid invitations, next to expire first; at most MAX_LISTED_INVITATIONS."""
        return await self._valid("LIMIT", 0, MAX_LISTED_INVITATIONS)

    async def made_by(self, user_id: str) -> tuple[Invitation, ...]:
        """The valid invitations of one user, all of them."""
        return tuple(each for each in await self._valid() if each.by == user_id)

    async def withdraw(self, invitation_id: str) -> bool:
        """Whether there was such an invitation."""
        withdrawn = bool(await self._store.once("ZREM", keys.INVITATIONS, invitation_id))
        await self._store.idempotent("DEL", keys.invitation(invitation_id))
        return withdrawn

    async def _valid(self, *limit: str | int) -> tuple[Invitation, ...]:
        living = await self._store.idempotent(
            "ZRANGEBYSCORE", keys.INVITATIONS, f"({self._clock()!r}", "+inf", "WITHSCORES", *limit
        )
        found = await asyncio.gather(*(self._invitation(one.decode(), float(expires)) for one, expires in living))
        return tuple(filter(None, found))

    async def _expires(self, invitation_id: str) -> float | None:
        expires = await self._store.idempotent("ZSCORE", keys.INVITATIONS, invitation_id)
        return float(expires) if expires is not None and float(expires) > self._clock() else None

    async def _invitation(self, invitation_id: str, expires: float) -> Invitation | None:
        fields = await self._store.idempotent("HGETALL", keys.invitation(invitation_id))
        return Invitation.from_hash(invitation_id, expires, fields) if fields else None
