"""Sessions: who is signed in, on which device, since when.

The cookie holds a random id, signed; the store holds the session under the id's SHA-256, so that neither the cookie
alone nor the store alone is worth anything to a thief. Whoever does nothing that needs a session gets none.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

from starlette.types import Scope

from app.sessions.cookie import SessionCookie
from app.sessions.legacy.cookies import LEGACY_METHODS, LegacyCookie, LegacyCookies
from app.sessions.session import Session, SessionStore
from app.sessions.user_agent import device_of
from app.settings import Settings
from app.store.client import CannotWrite
from app.store.single_flight import SingleFlight
from app.web.cookies import cookie_header, delete_cookie
from app.web.headers import RawHeader, RawHeaders, headers_of
from app.web.middleware import ON_RESPONSE_START

SESSION_CONTEXT = "tallygate.visit"
"""The scope key of a request's SessionContext."""
SEEN_EVERY = 60
"""Seconds between two notes of when a session was last used; a short idle timeout has them more often."""
MAX_CACHED_COOKIES, MAX_CACHED_COOKIE_BYTES = 10_000, 2048
"""Cookie headers that a worker knows as some session's, and the bytes of the longest: strangers choose both."""
REAUTH_WINDOW = 600
"""Seconds after signing in for which nobody asks whether it is still the same person."""
Recheck = Callable[[Session], Awaitable[float | None]]
"""Asks whoever vouched for a session's user: when to ask again (Unix seconds); None where they no longer do."""


class LegacyUsers(Protocol):
    """Knows the users of the app that was here before."""

    async def adopt(self, old: LegacyCookie, scope: Scope) -> str | None:
        """The user (id) whose name a request's old cookie holds, once: from then on the cookie is nobody's."""

    async def end_all(self, user: str) -> None:
        """From now on all cookies of this user (id) are nobody's."""


@dataclass(slots=True)
class SessionContext:
    """What one request has to do with sessions. `cookies` are the Set-Cookie headers for its answer, by name."""

    session: Session | None = None
    opened: bool = False
    committed: bool = False
    cookies: dict[str, RawHeader] = field(default_factory=dict)


class Sessions:
    """The one interface that handlers use."""

    def __init__(
        self,
        settings: Settings,
        store: SessionStore,
        legacy_users: LegacyUsers | None = None,
        recheck: Recheck | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cookie = SessionCookie(settings)
        self._seen_every = min(SEEN_EVERY, settings.session_idle_timeout / 4)
        self._store = store
        self._legacy = LegacyCookies(settings, clock)
        self._legacy_users = legacy_users if self._legacy.any else None
        self._recheck = recheck
        self._rechecking: SingleFlight[Session | None] = SingleFlight()
        self._known: tuple[dict[bytes, str], dict[bytes, str]] = ({}, {})
        self._clock = clock

    @property
    def revocable(self) -> bool:
        """Whether sessions can be listed and ended from outside; not so when they are whole in the cookie."""
        return self._store.revocable

    async def open(self, scope: Scope) -> Session | None:
        """The request's session; None when the visitor is not signed in. Raises StoreUnavailable."""
        context: SessionContext = scope.setdefault(SESSION_CONTEXT, SessionContext())
        scope[ON_RESPONSE_START] = self.commit
        if not context.opened:
            header = cookie_header(scope)
            cookie = self._cookie.read(scope, header)
            found = await self._load(cookie) if cookie else None
            if found is not None:
                context.session = found.copy()
                self._know(scope, header, found.key)
                await self._note_seen(scope, context, context.session)
            else:
                await self._adopt_legacy(scope, context, header)
            context.opened = True
        return context.session

    async def _load(self, cookie: str) -> Session | None:
        """The living session of a cookie, of which somebody has made sure not long ago, where that is wanted."""
        found = await self._store.load(cookie)
        if found is None or self._clock() < found.recheck_at:
            return found
        return await self._rechecking.join(found.key, lambda: self._rechecked(found))

    async def _rechecked(self, session: Session) -> Session | None:
        again = math.inf if self._recheck is None else await self._recheck(session)
        if again is None:
            await self._store.end(session)
            return None
        vouched = replace(session, recheck_at=again)
        await self._store.save_recheck(vouched)
        return vouched

    def cached(self, scope: Scope, header: bytes) -> Session | None:
        """The session of a raw Cookie header where this worker knows it already, and need neither note that it is in
        use nor have it rechecked; None says nothing. What it returns must not be changed.
        """
        key = self._known[scope["scheme"] == "https"].get(header)
        # A header that comes twice may be a second Cookie header with another session in it: `open` looks at both.
        if not key or len(headers_of(scope)) != len(scope["headers"]):
            return None
        session, now = self._store.cached(key), self._clock()
        if session is None or now - session.seen >= self._seen_every or now >= session.recheck_at:
            return None
        return session

    def absent(self, scope: Scope, header: bytes) -> bool:
        """Whether a raw Cookie header surely has nothing to do with sessions."""
        alone = len(headers_of(scope)) == len(scope["headers"])
        return alone and not self._legacy.any and self._cookie.name(scope).encode() not in header

    def _know(self, scope: Scope, header: bytes, key: str) -> None:
        """Remembers a header's session: a browser sends the same header each time."""
        known = self._known[scope["scheme"] == "https"]
        if (
            key and len(header) <= MAX_CACHED_COOKIE_BYTES
        ):  # a session in the cookie has no key: it is read anew each time
            if len(known) >= MAX_CACHED_COOKIES:
                known.clear()
            known[header] = key

    async def begin(self, scope: Scope, user: str, auth_method: str, recheck_at: float = math.inf) -> Session:
        """Signs the visitor in with a new session; the one there was is dead (session fixation: ASVS 5.0, 7.2.4).

        Where it was the same user's, its data goes on in the new one.
        """
        before = await self.open(scope)
        return await self._start(scope, scope[SESSION_CONTEXT], user, auth_method, recheck_at, before)

    async def _start(
        self,
        scope: Scope,
        context: SessionContext,
        user: str,
        auth_method: str,
        recheck_at: float = math.inf,
        before: Session | None = None,
    ) -> Session:
        now = self._clock()
        session = Session(
            key="",
            user=user,
            created=now,
            seen=now,
            auth_method=auth_method,
            device=device_of(headers_of(scope).get(b"user-agent", b"").decode("latin-1")),
            address=scope["client"][0] if scope["client"] else "",
            recheck_at=recheck_at,
            _data=before.data if before is not None and before.user == user else None,
        )
        value = await self._store.create(session)
        if before is not None:
            await self._store.end(before)
        context.session = session
        self._set_cookie(scope, context, value)
        return session

    async def fresh(self, scope: Scope) -> bool:
        """Whether the visitor has signed in a moment ago: who brought an old app's cookie did that long before."""
        session = await self.open(scope)
        if session is None or session.auth_method in LEGACY_METHODS:
            return False
        return self._clock() - session.created < REAUTH_WINDOW

    async def end(self, scope: Scope) -> None:
        """Signs the visitor out."""
        session = await self.open(scope)
        if session is not None:
            await self._store.end(session)
        self.drop(scope)

    def drop(self, scope: Scope) -> None:
        """Takes the session from the browser alone, for which Redis need not be there."""
        context: SessionContext = scope[SESSION_CONTEXT]
        context.session = None
        context.cookies[self._cookie.name(scope)] = self._cookie.delete(scope)

    async def commit(self, scope: Scope, headers: RawHeaders) -> None:
        """Stores what the request has changed, and adds the headers of an answer that depends on who asks."""
        context: SessionContext = scope[SESSION_CONTEXT]
        if context.session is not None and not context.committed:
            context.committed = True  # if it fails, the answer that says so must not fail for the same reason
            changes = context.session.changes()
            if changes:
                self._set_cookie(scope, context, await self._store.save(context.session, changes))
        headers += context.cookies.values()
        names = {name.lower(): value for name, value in headers}
        if b"cache-control" not in names:
            headers.append((b"cache-control", b"no-store"))
        if b"cookie" not in names.get(b"vary", b"").lower():
            headers.append((b"vary", b"Cookie"))

    def _set_cookie(self, scope: Scope, context: SessionContext, value: str | None) -> None:
        if value is not None:
            context.cookies[self._cookie.name(scope)] = self._cookie.set(scope, value)

    async def of_user(self, user: str) -> list[Session]:
        """The user's sessions, last used first."""
        sessions = await self._store.of_user(user)
        return sorted(sessions, key=lambda session: session.seen, reverse=True)

    async def end_one(self, user: str, key: str) -> bool:
        """Ends the session of this key if it is the user's."""
        for session in await self._store.of_user(user):
            if session.key == key:
                await self._store.end(session)
                return True
        return False

    async def end_all(self, user: str, keep: str | None = None) -> int:
        """Ends the user's sessions, all but the one of the key `keep`; how many."""
        if self._legacy_users is not None:
            await self._legacy_users.end_all(user)
        return await self.end_these([each for each in await self._store.of_user(user) if each.key != keep])

    async def end_these(self, sessions: Sequence[Session]) -> int:
        """How many they were."""
        await asyncio.gather(*map(self._store.end, sessions))
        return len(sessions)

    async def _note_seen(self, scope: Scope, context: SessionContext, session: Session) -> None:
        now = self._clock()
        if now - session.seen >= self._seen_every:
            session.seen = now
            with suppress(CannotWrite):  # who is signed in stays so
                self._set_cookie(scope, context, await self._store.touch(session))

    async def _adopt_legacy(self, scope: Scope, context: SessionContext, header: bytes) -> None:
        """A session for who still has a valid cookie of the app that was here before."""
        old = self._legacy.read(header) if self._legacy_users is not None else None
        if old is None or self._legacy_users is None:
            return
        user = await self._legacy_users.adopt(old, scope)
        if user is None:
            return
        await self._start(scope, context, user, old.auth_method)
        context.cookies.setdefault(old.cookie, delete_cookie(scope, old.cookie))
