"""The session service: the one interface of handlers to sessions.

The cookie holds a signed random id; the store holds the session under the id's SHA-256. A stolen store yields no
cookies. A visitor who does not sign in has no session.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from starlette.types import Scope

from app.sessions.context import SESSION_CONTEXT, SessionContext
from app.sessions.cookie import SessionCookie
from app.sessions.legacy.cookies import LegacyCookies, LegacyUsers
from app.sessions.session import Session, SessionPage, SessionStore
from app.sessions.timeouts import Timeouts
from app.sessions.user_agent import device_of
from app.settings import Settings
from app.store.client import CannotWrite
from app.store.single_flight import SingleFlight
from app.store.tracking import Pin
from app.web.cookies import cookie_header, delete_cookie
from app.web.headers import RawHeaders, headers_of
from app.web.middleware import ON_RESPONSE_START

LAST_SEEN_INTERVAL = 60
"""Seconds between two writes of a session's last use; a short idle timeout makes them more frequent."""
MAX_CACHED_COOKIES, MAX_CACHED_COOKIE_BYTES = 10_000, 2048
"""How many Cookie headers a worker maps to sessions, and the longest in bytes: clients choose both."""
REAUTH_WINDOW = 600
"""Seconds after authenticating for which sensitive acts need no new authentication."""
Watcher = Callable[[Session], Awaitable[None]]
"""Called before a session ends. Raises StoreUnavailable."""
Recheck = Callable[[Session], Awaitable[Session | None]]
"""Asks the session's identity provider. Returns the session with its next `recheck_at` and groups; None ends it."""


class Sessions:
    """Opens, starts, ends and lists sessions."""

    def __init__(
        self,
        settings: Settings,
        store: SessionStore,
        legacy_users: LegacyUsers | None = None,
        recheck: Recheck | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cookie = SessionCookie(settings)
        self._seen_every = min(LAST_SEEN_INTERVAL, Timeouts(settings).shortest_idle / 4)
        self._store = store
        self._legacy = LegacyCookies(settings, clock)
        self._legacy_users = legacy_users if self._legacy.any else None
        self._recheck = recheck
        self._rechecking: SingleFlight[Session | None] = SingleFlight()
        self._watchers: list[Watcher] = []
        self._known: tuple[dict[bytes, str], dict[bytes, str]] = ({}, {})
        self._clock = clock

    @property
    def revocable(self) -> bool:
        """Whether sessions can be listed and revoked; sessions in the cookie cannot."""
        return self._store.revocable

    def watch(self, watcher: Watcher) -> None:
        """Tells the watcher of every session that is ended; not of those that expire."""
        self._watchers.append(watcher)

    async def open(self, scope: Scope) -> Session | None:
        """The request's session; None if the visitor is not signed in. Raises StoreUnavailable."""
        context: SessionContext = scope.setdefault(SESSION_CONTEXT, SessionContext())
        scope[ON_RESPONSE_START] = self.commit
        if not context.opened:
            header = cookie_header(scope)
            found = self.cached(scope, header) or await self._load(scope, header)
            if found is not None:
                context.session = found.copy()
                self._know(scope, header, found.key)
                await self._note_seen(scope, context, context.session)
            else:
                await self._adopt_legacy(scope, context, header)
            context.opened = True
        return context.session

    async def _load(self, scope: Scope, header: bytes) -> Session | None:
        """The valid session of a raw Cookie header. After `recheck_at` the identity provider must confirm it first."""
        cookie = self._cookie.read(scope, header)
        return await self._confirmed(await self._store.load(cookie)) if cookie else None

    async def _confirmed(self, found: Session | None) -> Session | None:
        if found is None or self._clock() < found.recheck_at:
            return found
        return await self._rechecking.join(found.key, lambda: self._rechecked(found))

    async def _rechecked(self, session: Session) -> Session | None:
        rechecked = replace(session, recheck_at=math.inf) if self._recheck is None else await self._recheck(session)
        if rechecked is None:
            await self.end_these([session])
        else:
            await self._store.save_recheck(rechecked)
        return rechecked

    def cached(self, scope: Scope, header: bytes) -> Session | None:
        """The cached session of a raw Cookie header, not to be changed; None where `open` has something to do."""
        key = self._known[scope["scheme"] == "https"].get(header)
        # With a doubled header there may be a second Cookie header: `open` looks at both.
        if not key or len(headers_of(scope)) != len(scope["headers"]):
            return None
        return self._unless_due(self._store.cached(key))

    def cached_by_root(self, root: str) -> Session | None:
        """As `cached`, for what depends on a session, such as a sign-in at another host."""
        return self._unless_due(self._store.cached_by_root(root))

    def pin(self, session: Session) -> tuple[Pin | None, float]:
        """What shows that a cached session changes or ends, and when its last use, a recheck or its end is due."""
        pin, expiry = self._store.pin(session)
        return pin, min(expiry, session.seen + self._seen_every, session.recheck_at)

    def _unless_due(self, session: Session | None) -> Session | None:
        now = self._clock()
        due = session is None or now - session.seen >= self._seen_every or now >= session.recheck_at
        return None if due else session

    async def by_root(self, root: str) -> Session | None:
        """The valid session of a root, for what depends on it: counts as a use of the session."""
        return await self._used(await self._confirmed(await self._store.by_root(root)))

    async def by_cookie(self, scope: Scope, header: bytes) -> Session | None:
        """The valid session of a raw Cookie header; unlike `open`, it leaves the response alone."""
        found = await self._used(await self._load(scope, header))
        if found is not None:
            self._know(scope, header, found.key)
        return found

    async def _used(self, found: Session | None) -> Session | None:
        if found is None or self._clock() - found.seen < self._seen_every:
            return found
        used = replace(found, seen=self._clock())
        with suppress(CannotWrite):
            await self._store.touch(used)
        return used

    def absent(self, scope: Scope, header: bytes) -> bool:
        """Whether a raw Cookie header certainly holds no session cookie."""
        alone = len(headers_of(scope)) == len(scope["headers"])
        return alone and not self._legacy.any and self._cookie.name(scope).encode() not in header

    def _know(self, scope: Scope, header: bytes, key: str) -> None:
        """Caches the header's session key: a browser sends the same header each time."""
        known = self._known[scope["scheme"] == "https"]
        if key and len(header) <= MAX_CACHED_COOKIE_BYTES:  # a session in the cookie has no key
            if len(known) >= MAX_CACHED_COOKIES:
                known.clear()
            known[header] = key

    async def begin(
        self,
        scope: Scope,
        user: str,
        auth_method: str,
        recheck_at: float = math.inf,
        *,
        auth_time: float | None = None,
        amr: Iterable[str] = (),
        groups: Iterable[str] = (),
        brief: bool | None = None,
    ) -> Session:
        """Signs the visitor in with a new session and ends the present one (session fixation: ASVS 5.0, 7.2.4).

        `auth_time` is when the user authenticated: now if None, 0 if unknown. The data of a session of the same user
        moves to the new one, and what depends on it stays valid. A `brief` session ends with the browser; None: as the
        present one of the same user.
        """
        before = await self.open(scope)
        started = self._new(scope, user, auth_method, before)
        started.auth_time = started.created if auth_time is None else min(auth_time, started.created)
        started.recheck_at, started.amr, started.groups = recheck_at, tuple(amr), tuple(groups)
        started.brief = started.brief if brief is None else brief
        return await self._start(scope, scope[SESSION_CONTEXT], started, before)

    async def authenticated_again(self, scope: Scope, amr: Iterable[str]) -> Session:
        """Gives the session a new id (ASVS 5.0, 7.2.4); what its identity provider says of it stays."""
        now = await self.open(scope)
        assert now is not None  # only a signed-in user authenticates again
        return await self.begin(scope, now.user, now.auth_method, now.recheck_at, amr=amr, groups=now.groups)

    def _new(self, scope: Scope, user: str, auth_method: str, before: Session | None = None) -> Session:
        now, former = self._clock(), before if before is not None and before.user == user else None
        return Session(
            key="",
            root=former.root if former is not None else "",
            user=user,
            created=now,
            seen=now,
            auth_method=auth_method,
            device=device_of(headers_of(scope).get(b"user-agent", b"").decode("latin-1")),
            address=scope["client"][0] if scope["client"] else "",
            brief=former is not None and former.brief,
            _data=former.data if former is not None else None,
        )

    async def _start(
        self, scope: Scope, context: SessionContext, session: Session, before: Session | None = None
    ) -> Session:
        value = await self._store.create(session)
        if before is not None and before.root == session.root:
            await self._store.end(before, goes_on=before.auth_method == session.auth_method)
        elif before is not None:
            await self.end_these([before])
        context.session = session
        self._set_cookie(scope, context, value)
        return session

    async def fresh(self, scope: Scope) -> bool:
        """Whether the visitor authenticated within REAUTH_WINDOW: the age of the session is no proof of that."""
        session = await self.open(scope)
        return session is not None and abs(self._clock() - session.auth_time) < REAUTH_WINDOW

    async def end(self, scope: Scope) -> None:
        """Signs the visitor out."""
        if (session := await self.open(scope)) is not None:
            await self.end_these([session])
        self.drop(scope)

    def drop(self, scope: Scope) -> None:
        """Deletes the cookie only; works while Redis is away."""
        scope[SESSION_CONTEXT].session = None
        scope[SESSION_CONTEXT].cookies[self._cookie.name(scope)] = self._cookie.delete(scope)

    async def commit(self, scope: Scope, headers: RawHeaders) -> None:
        """Stores changed data, and adds Set-Cookie, Cache-Control and Vary to the response's headers."""
        context: SessionContext = scope[SESSION_CONTEXT]
        if context.session is not None and not context.committed:
            context.committed = True  # if this fails, the error response must not fail again for the same reason
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
            brief = context.session is not None and context.session.brief
            context.cookies[self._cookie.name(scope)] = self._cookie.set(scope, value, brief=brief)

    async def of_user(self, user: str) -> list[Session]:
        """The user's sessions, most recently used first."""
        return sorted(await self._store.of_user(user), key=lambda session: session.seen, reverse=True)

    async def page_of_user(self, user: str, offset: int = 0, limit: int = 50) -> SessionPage:
        """Some of the user's sessions, begun last first, after the first `offset`."""
        return await self._store.page_of_user(user, offset, limit)

    async def end_one(self, user: str, key: str) -> bool:
        """Ends the session of this key if it is the user's."""
        session = await self._store.by_key(key)
        return bool(await self.end_these([session] if session is not None and session.user == user else []))

    async def end_all(self, user: str, keep: str | None = None) -> int:
        """Ends the user's sessions except the one with the key `keep`. Returns how many."""
        if self._legacy_users is not None:
            await self._legacy_users.end_all(user)
        return await self.end_these([each for each in await self._store.of_user(user) if each.key != keep])

    async def end_these(self, sessions: Sequence[Session]) -> int:
        """Returns how many there were."""
        for watcher in self._watchers:
            await asyncio.gather(*map(watcher, sessions))
        await asyncio.gather(*map(self._store.end, sessions))
        return len(sessions)

    async def _note_seen(self, scope: Scope, context: SessionContext, session: Session) -> None:
        now = self._clock()
        if now - session.seen >= self._seen_every:
            session.seen = now
            with suppress(CannotWrite):  # the session itself is still good
                self._set_cookie(scope, context, await self._store.touch(session))

    async def _adopt_legacy(self, scope: Scope, context: SessionContext, header: bytes) -> None:
        """Starts a session for a valid cookie of the former app."""
        old = self._legacy.read(header) if self._legacy_users is not None else None
        if old is None or self._legacy_users is None:
            return
        user = await self._legacy_users.adopt(old, scope)
        if user is None:
            return
        await self._start(scope, context, self._new(scope, user, old.auth_method))
        context.cookies.setdefault(old.cookie, delete_cookie(scope, old.cookie))
