"""API tokens: secrets that replace a session in `/api/`, shown once and stored as a hash."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from app.accounts.api_tokens.scopes import allowed
from app.accounts.secret import digest, looks_like_secret, new_secret
from app.store import keys
from app.store.client import Store, StoreUnavailable
from app.store.hashes import set_if_exists
from app.store.scripts import Script
from app.store.tracking import TrackedHashes

PREFIX = "tgt_"
"""The prefix by which secret scanners recognise a committed token."""
MAX_TOKENS = 50
MAX_TOKEN_NAME_LENGTH = 100
DAY, MAX_TOKEN_DAYS = 86_400, 3650
"""Seconds of a day; the longest lifetime in days, except for ever."""

ADD = Script("""
local token, list = unpack(KEYS)
local id, expires, now, most, lifetime = unpack(ARGV, 1, 5)
if redis.call('ZSCORE', list, id) then return 1 end
redis.call('ZREMRANGEBYSCORE', list, '-inf', now)
if redis.call('ZCARD', list) >= tonumber(most) then return 0 end
redis.call('ZADD', list, expires, id)
redis.call('HSET', token, unpack(ARGV, 6))
if lifetime ~= '' then redis.call('EXPIRE', token, lifetime) end
return 1
""")
REVOKE = Script("""
local token, list = unpack(KEYS)
if redis.call('ZREM', list, ARGV[1]) == 0 then return 0 end
return redis.call('DEL', token)
""")


USE_INTERVAL = 600
"""Seconds between two notes of a token's use."""


class TooManyTokens(Exception):
    """The user has MAX_TOKENS tokens."""


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """A token without its secret. Times are Unix seconds; `expires` is None if it never does, `used` 0 if it never was.

    No `scopes` allow everything.
    """

    id: str
    user_id: str
    name: str
    created: float
    expires: float | None
    scopes: tuple[str, ...] = ()
    used: float = 0.0
    used_from: str = ""

    def allows(self, feature: str, *, write: bool) -> bool:
        return allowed(self.scopes, feature, write=write)

    @classmethod
    def from_hash(cls, token_id: str, fields: Mapping[bytes, bytes]) -> Self:
        expires = float(fields[b"expires"])
        return cls(
            id=token_id,
            user_id=fields[b"user"].decode(),
            name=fields[b"name"].decode(),
            created=float(fields[b"created"]),
            expires=None if math.isinf(expires) else expires,
            scopes=tuple(fields.get(b"scopes", b"").decode().split()),
            used=float(fields.get(b"used", 0)),
            used_from=fields.get(b"used_from", b"").decode(),
        )


class ApiTokens:
    """With a `cache`, tokens are cached in each worker until Redis invalidates them. Raises StoreUnavailable when Redis
    does not answer.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        prefix: str = PREFIX,
        cache: TrackedHashes[TokenInfo] | None = None,
    ) -> None:
        self._store = store
        self._cache = cache
        self._prefix = prefix
        self._clock = clock

    async def create(
        self, user_id: str, name: str, lifetime: int | None = None, scopes: Sequence[str] = ()
    ) -> tuple[str, TokenInfo]:
        """Makes a token. Returns (the secret, the token); `lifetime` in seconds. Raises TooManyTokens."""
        secret, now = self._prefix + new_secret(), self._clock()
        name = name.encode("utf-8", "replace").decode()[:MAX_TOKEN_NAME_LENGTH]
        token = TokenInfo(
            digest(secret), user_id, name, now, None if lifetime is None else now + lifetime, tuple(scopes)
        )
        expires = "inf" if token.expires is None else repr(token.expires)
        limits = ("scopes", " ".join(scopes)) if scopes else ()
        fields = ("user", user_id, "name", name, "created", repr(now), "expires", expires, *limits)
        added = await ADD.run(
            self._store, [keys.token(token.id), keys.tokens_of(user_id)],
            token.id, expires, repr(now), MAX_TOKENS, "" if lifetime is None else lifetime, *fields,
        )  # fmt: skip
        if not added:
            raise TooManyTokens
        return secret, token

    async def by_secret(self, secret: str) -> TokenInfo | None:
        """The token; None if it is unknown, revoked or expired. Does not check whether its user is disabled."""
        if not secret.startswith(self._prefix) or not looks_like_secret(secret.removeprefix(self._prefix)):
            return None
        if self._cache is None:
            return await self._living(digest(secret))
        return self._unless_expired(await self._cache.read(keys.token(digest(secret))))

    async def use(self, secret: str, address: str) -> TokenInfo | None:
        """As `by_secret`; notes the use."""
        token = await self.by_secret(secret)
        if token is not None:
            with suppress(StoreUnavailable):  # the next use notes it
                await self._note_use(token, address)
        return token

    def cached(self, secret: str) -> TokenInfo | None:
        """The token if it is cached and not expired; None otherwise."""
        return self._unless_expired(self._cache.cached(keys.token(digest(secret)))) if self._cache is not None else None

    def cached_use(self, secret: str) -> TokenInfo | None:
        """As `cached`, for a use; None also if `use` has something to note."""
        token = self.cached(secret)
        return token if token is not None and self._clock() - token.used < USE_INTERVAL else None

    async def list(self, user_id: str) -> tuple[TokenInfo, ...]:
        """The user's tokens, newest first."""
        ids = await self._store.idempotent("ZRANGEBYSCORE", keys.tokens_of(user_id), f"({self._clock()!r}", "+inf")
        found = await asyncio.gather(*(self._living(token_id.decode()) for token_id in ids))
        return tuple(sorted(filter(None, found), key=lambda token: token.created, reverse=True))

    async def revoke(self, user_id: str, token_id: str) -> bool:
        """Revokes the token at once. Returns whether the user had it."""
        revoked = bool(await REVOKE.run(self._store, [keys.token(token_id), keys.tokens_of(user_id)], token_id))
        if self._cache is not None:
            self._cache.forget(keys.token(token_id))
        return revoked

    async def _note_use(self, token: TokenInfo, address: str) -> None:
        """Notes when and from where the token was used, every ten minutes at most: a note invalidates every cache."""
        if self._clock() - token.used >= USE_INTERVAL:
            key = keys.token(token.id)
            await set_if_exists(self._store, key, "used", repr(self._clock()), "used_from", address)
            if self._cache is not None:
                self._cache.forget(key)

    async def _living(self, token_id: str) -> TokenInfo | None:
        fields = await self._store.idempotent("HGETALL", keys.token(token_id))
        return self._unless_expired(TokenInfo.from_hash(token_id, fields)) if fields else None

    def _unless_expired(self, token: TokenInfo | None) -> TokenInfo | None:
        return None if token is None or self.expired(token) else token

    def expired(self, token: TokenInfo) -> bool:
        return token.expires is not None and token.expires <= self._clock()
