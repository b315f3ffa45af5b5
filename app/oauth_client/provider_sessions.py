"""Sessions at providers: identity and tokens, encrypted, kept as long as the session here."""

import asyncio
from collections.abc import Callable
from dataclasses import astuple, dataclass
from math import inf
from typing import Self

import orjson

from app.accounts.secret import digest
from app.accounts.users.identities import Identities, Identity
from app.oauth_client.errors import BadCallback
from app.oauth_client.models import LogoutRequest, Tokens
from app.sessions.service import Sessions
from app.sessions.session import Session
from app.sessions.signing import signing_keys
from app.sessions.timeouts import Timeouts
from app.settings import Settings
from app.store import keys
from app.store.client import Store
from app.store.encryption import Encryption

LOGOUT_TOKEN_LIFETIME = 600
"""Seconds for which used logout tokens are remembered; older ones are refused by their age."""


@dataclass(frozen=True, slots=True)
class ProviderSession:
    """A session's identity, its session at the provider (`sid`), and its tokens."""

    issuer: str
    subject: str
    session: str
    tokens: Tokens

    @property
    def identity(self) -> Identity:
        return Identity(self.issuer, self.subject, provider="")

    def dump(self) -> bytes:
        return orjson.dumps([self.issuer, self.subject, self.session, astuple(self.tokens)])

    @classmethod
    def load(cls, plain: bytes) -> Self:
        issuer, subject, session, (id_token, refresh_token, recheck_at, client, *more) = orjson.loads(plain)
        again = inf if recheck_at is None else recheck_at  # JSON knows no infinity
        groups = tuple(*more)  # older versions have stored none
        return cls(issuer, subject, session, Tokens(id_token, refresh_token, again, client, groups))


class ProviderSessions:
    """Raises StoreUnavailable. Stores nothing for sessions in the cookie."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._store = store
        self._lifetime = settings.session_absolute_timeout
        self._timeouts = Timeouts(settings)
        self._encryption = Encryption(signing_keys(settings), "provider-sessions")

    async def keep(self, session: Session, provider_session: ProviderSession) -> None:
        """Stores it for a new session, with the session's idle timeout; each use of the session extends both."""
        if not session.key:
            return
        if provider_session.session:
            name = _session_name(provider_session.issuer, provider_session.session)
            await self._store.idempotent("SET", name, session.user, "EX", self._lifetime)
        name, lifetime = keys.session_origin(session.root), min(self._timeouts.idle(session), self._lifetime)
        await self._store.idempotent("SET", name, self._encrypted(session, provider_session), "EX", lifetime)

    async def renew(self, session: Session, provider_session: ProviderSession) -> None:
        """Replaces it, unless the session has ended meanwhile."""
        await self._store.idempotent(
            "SET", keys.session_origin(session.root), self._encrypted(session, provider_session), "XX", "KEEPTTL"
        )

    async def provider_session(self, session: Session) -> ProviderSession | None:
        """None if the session did not begin at a provider."""
        value = await self._store.idempotent("GET", keys.session_origin(session.root)) if session.key else None
        plain = self._encryption.decrypt(value, session.root) if value is not None else None
        return ProviderSession.load(plain) if plain is not None else None

    def seal(self, user_id: str, provider: str, auth_time: float, provider_session: ProviderSession) -> str:
        """For a sign-in of the user that waits for a second factor."""
        plain = orjson.dumps([provider, auth_time, provider_session.dump().decode()])
        return self._encryption.encrypt(plain, f"waiting {user_id}")

    def unseal(self, user_id: str, sealed: str) -> tuple[str, float, ProviderSession] | None:
        """(the provider's name, when the user authenticated there, its side of the session)."""
        plain = self._encryption.decrypt(sealed, f"waiting {user_id}")
        if plain is None:
            return None
        provider, auth_time, dumped = orjson.loads(plain)
        return provider, auth_time, ProviderSession.load(dumped.encode())

    async def forget(self, session: Session) -> None:
        await self._store.idempotent("DEL", keys.session_origin(session.root))

    async def end(self, sessions: Sessions, identities: Identities, ended: LogoutRequest) -> tuple[str, int]:
        """Ends the sessions of a logout request. Returns (the user, how many). Raises BadCallback for a replay."""
        obeyed = keys.oauth_logout(digest(f"{ended.issuer}\0{ended.id}"))
        if await self._store.idempotent("EXISTS", obeyed):
            raise BadCallback("the logout token comes again")
        user, count = await self._user(identities, ended), 0
        if user:
            begun = await self._begun(sessions, user, lambda it: ended.ends(it.issuer, it.subject, it.session))
            count = await sessions.end_these(begun)
        # Stored last: if Redis fails in between, the provider's retry must not count as a replay.
        await self._store.idempotent("SET", obeyed, b"", "EX", LOGOUT_TOKEN_LIFETIME)
        return user, count

    async def end_others(self, sessions: Sessions, user: str, identity_id: str, keep: str) -> int:
        """Ends the user's sessions of this identity, except the one with the key `keep`. Returns how many."""
        begun = await self._begun(sessions, user, lambda provider_session: provider_session.identity.id == identity_id)
        return await sessions.end_these([session for session in begun if session.key != keep])

    async def _begun(self, sessions: Sessions, user: str, there: Callable[[ProviderSession], bool]) -> list[Session]:
        """The user's sessions whose provider session matches."""
        found = await sessions.of_user(user)
        origins = await asyncio.gather(*map(self.provider_session, found))
        pairs = zip(found, origins, strict=True)
        return [
            session for session, provider_session in pairs if provider_session is not None and there(provider_session)
        ]

    async def _user(self, identities: Identities, ended: LogoutRequest) -> str:
        if ended.subject:
            return await identities.user_of(Identity(ended.issuer, ended.subject, "")) or ""
        found = await self._store.idempotent("GET", _session_name(ended.issuer, ended.session))
        return found.decode() if found is not None else ""

    def _encrypted(self, session: Session, provider_session: ProviderSession) -> str:
        return self._encryption.encrypt(provider_session.dump(), session.root)


def _session_name(issuer: str, session: str) -> str:
    return keys.oauth_session(digest(f"{issuer}\0{session}"))
