"""Invitations: links that allow one sign-up each."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.accounts.secret import digest, looks_like_secret, new_secret
from app.store import keys
from app.store.client import Store

MAX_LISTED_INVITATIONS = 100


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation without its secret. Times are Unix seconds; `by` is the id of the inviting user."""

    id: str
    by: str
    created: float
    expires: float


class Invitations:
    """Raises StoreUnavailable when Redis does not answer.

    `AccountStore.create` and `Identities.join` use an invitation up in the step that makes the account: a taken name
    does not cost it.
    """

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    async def create(self, by: str, lifetime: int) -> str:
        """Makes an invitation that is valid for `lifetime` seconds. Returns its secret."""
        secret, now = new_secret(), self._clock()
        key = keys.invitation(digest(secret))
        await self._store.idempotent("ZREMRANGEBYSCORE", keys.INVITATIONS, "-inf", repr(now))
        await self._store.idempotent("HSET", key, "by", by, "created", repr(now))
        await self._store.idempotent("EXPIRE", key, lifetime)
        await self._store.idempotent("ZADD", keys.INVITATIONS, repr(now + lifetime), digest(secret))
        return secret

    async def peek(self, secret: str) -> bool:
        """Whether the invitation is valid."""
        if not looks_like_secret(secret):
            return False
        return await self._expires(digest(secret)) is not None

    async def by_id(self, invitation_id: str) -> Invitation | None:
        """The valid invitation; None otherwise."""
        expires = await self._expires(invitation_id)
        return await self._invitation(invitation_id, expires) if expires is not None else None

    async def list(self) -> tuple[Invitation, ...]:
        """The valid invitations, next to expire first; at most MAX_LISTED_INVITATIONS."""
        living = await self._store.idempotent(
            "ZRANGEBYSCORE",
            keys.INVITATIONS,
            f"({self._clock()!r}",
            "+inf",
            "WITHSCORES",
            "LIMIT",
            0,
            MAX_LISTED_INVITATIONS,
        )
        found = await asyncio.gather(*(self._invitation(one.decode(), float(expires)) for one, expires in living))
        return tuple(filter(None, found))

    async def withdraw(self, invitation_id: str) -> bool:
        """Whether there was such an invitation."""
        return bool(await self._store.once("ZREM", keys.INVITATIONS, invitation_id))

    async def _expires(self, invitation_id: str) -> float | None:
        expires = await self._store.idempotent("ZSCORE", keys.INVITATIONS, invitation_id)
        return float(expires) if expires is not None and float(expires) > self._clock() else None

    async def _invitation(self, invitation_id: str, expires: float) -> Invitation | None:
        fields = await self._store.idempotent("HGETALL", keys.invitation(invitation_id))
        if not fields:
            return None
        return Invitation(invitation_id, fields[b"by"].decode(), float(fields[b"created"]), expires)
