"""Caches the identity headers of callers while their identity token is fresh."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.accounts.models import User
from app.gateway.callers import Caller, signed_in_at
from app.gateway.identity import (
    MAX_HEAD_BYTES,
    TOKEN_LIFETIME,
    TOKEN_RENEWAL,
    Identity,
    fitting,
    identity_headers,
    referring,
    size_of,
)
from app.gateway.rules import Subject
from app.sessions.session import Session
from app.signing_keys.key_ring import KeyRing, NoKey
from app.signing_keys.signing_keys import SigningKeys
from app.web.fast_path import StaticHeaders
from app.web.responses import NOT_CACHED

MAX_CACHED_IDENTITIES = 20_000


@dataclass(frozen=True, slots=True)
class CachedIdentity:
    """The identity of a caller at one host, for rules and for the application, until `renew_at` (Unix seconds)."""

    user: User
    session: Session | None
    subject: Subject
    head: StaticHeaders
    renew_at: float


class IdentityCache:
    def __init__(self, signing_keys: SigningKeys, issuer: str, clock: Callable[[], float]) -> None:
        self._signing_keys = signing_keys
        self._issuer = issuer
        self._clock = clock
        self._cache: dict[tuple[str, str], CachedIdentity] = {}
        self.anonymous = StaticHeaders(*identity_headers(None, (), b""), *NOT_CACHED, security=False)

    def get(self, caller: Caller, host: str) -> CachedIdentity | None:
        """The identity of a caller at a host, a new one if the session, the user or the minute has changed. None if the
        signing keys are not cached.
        """
        known = self._cached(caller, host)
        if known is not None:
            return known
        try:
            ring = self._signing_keys.cached()
            return None if ring is None else self._make(caller, host, ring)
        except NoKey:
            return None

    async def find(self, caller: Caller, host: str) -> CachedIdentity:
        """As `get`, but reads the signing keys, or makes the first ones. Raises StoreUnavailable."""
        return self._cached(caller, host) or self._make(caller, host, await self._signing_keys.ring())

    def _cached(self, caller: Caller, host: str) -> CachedIdentity | None:
        known = self._cache.get(_cache_key(caller, host))
        if known is None or known.user is not caller.user or known.session is not caller.session:
            return None
        return known if self._clock() < known.renew_at else None

    def _make(self, caller: Caller, host: str, ring: KeyRing) -> CachedIdentity:
        identity = identity_of(caller)
        subject = Subject(
            name=identity.name,
            email=identity.email,
            groups=frozenset(identity.groups),
            signed_in_at=signed_in_at(caller.session) if caller.session is not None else None,
        )
        head = StaticHeaders(*self._headers(identity, host, ring), *NOT_CACHED, security=False)
        known = CachedIdentity(caller.user, caller.session, subject, head, self._clock() + TOKEN_RENEWAL)
        if len(self._cache) >= MAX_CACHED_IDENTITIES:
            self._cache.clear()
        self._cache[_cache_key(caller, host)] = known
        return known

    def _headers(self, identity: Identity, host: str, ring: KeyRing) -> Sequence[tuple[bytes, bytes]]:
        """All identity headers, with as many groups as fit into nginx's buffer. Very long names are left out, too."""
        claims, userinfo = identity.claims(), f"{self._issuer}/oauth2/userinfo"
        headers = identity_headers(identity, identity.groups, self._token(claims, host, ring))
        if size_of(headers) <= MAX_HEAD_BYTES:
            return headers
        token = self._token(referring(claims, userinfo, {"groups"}), host, ring)
        room = MAX_HEAD_BYTES - size_of(identity_headers(identity, (), token))
        if room >= 0:
            return identity_headers(identity, fitting(identity.groups, room // 2), token)
        token = self._token(referring(claims, userinfo, claims.keys() - {"sub"}), host, ring)
        headers = identity_headers(identity, (), token)
        too_large = size_of(headers) > MAX_HEAD_BYTES
        return [(name, b"" if too_large and name == b"remote-name" else value) for name, value in headers]

    def _token(self, claims: Mapping[str, Any], host: str, ring: KeyRing) -> bytes:
        now = int(self._clock())
        of_token = {"iss": self._issuer, "aud": host, "iat": now, "exp": now + TOKEN_LIFETIME}
        return ring.sign(of_token | dict(claims), "ES256", "JWT", self._clock()).encode()


def identity_of(caller: Caller) -> Identity:
    """The identity that applications receive."""
    user = caller.user
    email = user.email if user.email_verified else ""
    of_provider = caller.session.groups if caller.session is not None else ()
    return Identity(user.id, user.name, user.display_name, email, tuple(dict.fromkeys((*user.groups, *of_provider))))


def _cache_key(caller: Caller, host: str) -> tuple[str, str]:
    return caller.session.key if caller.session is not None else f"token of {caller.user.id}", host
