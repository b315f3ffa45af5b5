"""Rechecks sessions at their provider: a session lasts as long as the provider confirms it."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import structlog

from app.audit.log import Audit, Event
from app.oauth_client.errors import OAuthProblem, ProviderUnavailable, Revoked
from app.oauth_client.models import Tokens
from app.oauth_client.provider import Provider
from app.oauth_client.provider_sessions import ProviderSession, ProviderSessions
from app.sessions.session import Session
from app.store import keys
from app.store.client import Store, StoreUnavailable
from app.store.scripts import Script

RETRY_INTERVAL = 60
"""Seconds after which an unavailable provider is asked again."""
UNAVAILABLE_SECONDS = 900
"""Seconds for which an unavailable provider is asked by one session at a time."""
POLL_INTERVAL = 0.05
"""Seconds between two checks for another worker's result."""
RELEASE = Script("if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end")


class Refresher:
    """Refreshes tokens, once for all workers: a provider may take a repeated refresh token for a stolen one, and
    revoke everything (RFC 9700, 4.14.2). `timeout` is a provider's, in seconds, for one request.
    """

    def __init__(
        self,
        providers: Callable[[], Mapping[str, Provider]],
        provider_sessions: ProviderSessions,
        store: Store,
        clock: Callable[[], float],
        *,
        timeout: float,
    ) -> None:
        self._providers = providers
        self._provider_sessions = provider_sessions
        self._store = store
        self._audit = Audit(store)
        self._clock = clock
        self._patience = timeout + 2
        self._longest = int(4 * timeout) + 10

    async def recheck(self, session: Session) -> Session | None:
        """The session with its next `recheck_at` and groups; None if it has to end. Raises StoreUnavailable."""
        deadline = asyncio.get_running_loop().time() + self._patience
        while asyncio.get_running_loop().time() < deadline:
            async with self._turn(session) as ours:
                if ours:
                    return await self._recheck(session)
            await asyncio.sleep(POLL_INTERVAL)
        return replace(session, recheck_at=self._clock() + RETRY_INTERVAL)

    async def _recheck(self, session: Session) -> Session | None:
        provider_session = await self._provider_sessions.provider_session(session)
        if provider_session is None:  # another worker learned that it has to end
            return None
        if self._clock() < provider_session.tokens.recheck_at:  # another worker refreshed it meanwhile
            return _confirmed(session, provider_session.tokens)
        try:
            tokens = await self._asked(session.auth_method, provider_session)
        except Revoked as revoked:
            await self._over(session, revoked.why)
            return None
        await self._provider_sessions.renew(session, replace(provider_session, tokens=tokens))
        return _confirmed(session, tokens)

    async def _asked(self, name: str, provider_session: ProviderSession) -> Tokens:
        """The session's new tokens. Raises Revoked."""
        provider = self._providers().get(name)
        if provider is None:
            raise Revoked("it is not configured any more")
        later = replace(provider_session.tokens, recheck_at=self._clock() + RETRY_INTERVAL)
        if not await self._may_ask(name):
            return later
        try:
            tokens = await provider.refresh(provider_session.tokens, provider_session.subject)
        except Revoked:
            raise
        except OAuthProblem as problem:  # an unavailable provider, or a bad response, does not end the session
            structlog.get_logger("app").warning("a session was not rechecked", provider=name, why=problem.why)
            if isinstance(problem, ProviderUnavailable):
                await self._note_away(name)
            return later
        with suppress(StoreUnavailable):
            await self._store.idempotent("DEL", keys.oauth_away(name))
        return tokens

    async def _may_ask(self, name: str) -> bool:
        """Whether this session may ask an unavailable provider: one session a minute does, all others continue."""
        next_try = await self._store.idempotent("GET", keys.oauth_away(name))
        if next_try is None:
            return True
        if self._clock() < float(next_try):
            return False
        turn = keys.oauth_asked(name, next_try.decode())
        return bool(await self._store.once("SET", turn, b"", "NX", "EX", RETRY_INTERVAL))

    async def _note_away(self, name: str) -> None:
        await self._store.idempotent(
            "SET", keys.oauth_away(name), f"{self._clock() + RETRY_INTERVAL:.3f}", "EX", UNAVAILABLE_SECONDS
        )

    async def _over(self, session: Session, why: str) -> None:
        """Deletes the tokens at once: workers that wait for the lock must not use them again."""
        await self._provider_sessions.forget(session)
        structlog.get_logger("app").info("a provider has ended a session", provider=session.auth_method, why=why)
        await self._audit.record(Event.SESSION_ENDED, user=session.user, detail=session.auth_method)

    @asynccontextmanager
    async def _turn(self, session: Session) -> AsyncIterator[bool]:
        """Takes the lock. If this worker dies, the lock expires."""
        lock, name = keys.oauth_refreshing(session.key), secrets.token_hex(8)
        ours = bool(await self._store.once("SET", lock, name, "NX", "EX", self._longest))
        try:
            yield ours
        finally:
            if ours:
                with suppress(StoreUnavailable):
                    await RELEASE.run(self._store, [lock], name)


def _confirmed(session: Session, tokens: Tokens) -> Session:
    return replace(session, recheck_at=tokens.recheck_at, groups=tokens.groups)
