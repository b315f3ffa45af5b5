"""Sessions: who is signed in, on which device, since when.

The cookie holds a random id, signed; the store holds the session under the id's SHA-256, so that neither the cookie
alone nor the store alone is worth anything to a thief. Whoever does nothing that needs a session gets none.
"""

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.types import Scope

from app.settings import Settings
from app.web.cookies import cookie_header, delete_cookie, full_name, read_cookie, set_cookie
from app.web.device import device_of
from app.web.headers import RawHeaders, headers_of
from app.web.legacy import LegacyCookies

VISIT = "tallygate.visit"
"""Where in the scope a request's dealings with sessions are noted; Edge commits them."""
SEEN_EVERY = 60
"""Seconds between two notes of when a session was last used."""
MOST_REMEMBERED = 10_000
"""Cookie headers whose session cookie a worker remembers."""
FLASH = "_flash"
Adopt = Callable[[str], Awaitable[str | None]]
"""Finds the user (id) of the name that an old app's cookie holds."""


@dataclass(slots=True)
class Session:
    """A signed-in visitor's session. `data` holds what an application keeps in it, as plain JSON types."""

    key: str
    user: str
    created: float
    seen: float
    how: str
    device: str = ""
    address: str = ""
    stored: str = "{}"
    _data: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def data(self) -> dict[str, Any]:
        if self._data is None:
            self._data = json.loads(self.stored)
        return self._data

    @property
    def has_flash(self) -> bool:
        return FLASH in self.stored

    def changed(self) -> bool:
        """Whether the data, however deep, is other than what is stored; then it counts as stored from here on.

        Raises TypeError for what JSON has no type for: it would not come back as it was.
        """
        if self._data is None:
            return False
        now = json.dumps(self._data, separators=(",", ":"), ensure_ascii=False)
        if now == self.stored:
            return False
        self.stored = now
        return True

    def copy(self) -> "Session":
        """One for a single request: what a request does to its data must not show in others' before it is stored."""
        return Session(self.key, self.user, self.created, self.seen, self.how, self.device, self.address, self.stored)


class SessionStore(Protocol):
    """Where sessions are. Every method raises StoreAway when it cannot be asked."""

    revocable: bool

    async def load(self, cookie: str) -> Session | None:
        """The living session of a cookie; None for anything else."""

    def remembered(self, cookie: str) -> Session | None:
        """The living session when it is known without asking; None says nothing."""

    async def create(self, session: Session) -> str:
        """Stores a new session, gives it its key, and returns the cookie's value."""

    async def save(self, session: Session) -> str | None:
        """Stores changed data; the cookie's new value if it has to be set anew."""

    async def touch(self, session: Session) -> str | None:
        """Notes `seen`; the cookie's new value if it has to be set anew."""

    async def end(self, session: Session) -> None: ...

    async def of_user(self, user: str) -> list[Session]: ...

    async def first_use(self, digest: str) -> bool:
        """Whether an old app's cookie of this digest comes for the first time; from here on it does not."""


@dataclass(slots=True)
class Visit:
    """What one request has to do with sessions."""

    sessions: "Sessions"
    session: Session | None = None
    cookies: RawHeaders = field(default_factory=list)


class Sessions:
    """The one interface that handlers use."""

    def __init__(
        self,
        settings: Settings,
        store: SessionStore,
        adopt: Adopt | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._name = settings.session_cookie
        self._lifetime = settings.session_lifetime
        self._store = store
        self._legacy = LegacyCookies(settings, clock)
        self._adopt = adopt
        self._memos: tuple[dict[bytes, str], dict[bytes, str]] = ({}, {})
        self._clock = clock

    @property
    def revocable(self) -> bool:
        """Whether sessions can be listed and ended from outside; not so when they are whole in the cookie."""
        return self._store.revocable

    async def open(self, scope: Scope) -> Session | None:
        """The request's session; None when the visitor is not signed in. Raises StoreAway."""
        visit = scope.get(VISIT)
        if visit is None:
            visit = scope[VISIT] = Visit(self)
            header = cookie_header(scope)
            cookie = self._cookie(scope, header)
            found = await self._store.load(cookie) if cookie else None
            visit.session = found.copy() if found is not None else await self._move_over(scope, visit, header)
            if visit.session is not None:
                await self._note_seen(scope, visit, visit.session)
        session: Session | None = visit.session
        return session

    def remembered(self, scope: Scope, header: bytes) -> Session | None:
        """The session of a raw Cookie header where this worker knows it already and need not note that it is in use;
        None says nothing. What it returns must not be changed.
        """
        session = self._store.remembered(self._cookie(scope, header)) if header else None
        return session if session is not None and self._clock() - session.seen < SEEN_EVERY else None

    def _cookie(self, scope: Scope, header: bytes) -> str:
        """The session cookie's value in the header; remembered, because a browser sends the same header each time."""
        memo = self._memos[scope["scheme"] == "https"]
        value = memo.get(header)
        if value is None:
            value = read_cookie(header, full_name(self._name, scope).encode()) or ""
            if len(memo) >= MOST_REMEMBERED:
                memo.clear()
            memo[header] = value
        return value

    async def begin(self, scope: Scope, user: str, how: str) -> Session:
        """Signs the visitor in with a new session; the one there was is dead (session fixation: ASVS 5.0, 7.2.4)."""
        before = await self.open(scope)
        visit: Visit = scope[VISIT]
        now = self._clock()
        headers = headers_of(scope)
        client = scope["client"]
        session = Session(
            key="",
            user=user,
            created=now,
            seen=now,
            how=how,
            device=device_of(headers.get(b"user-agent", b"").decode("latin-1")),
            address=client[0] if client else "",
        )
        value = await self._store.create(session)
        visit.session = session
        visit.cookies = [set_cookie(scope, self._name, value, self._lifetime)]
        if before is not None:
            await self._store.end(before)
        return session

    async def end(self, scope: Scope) -> None:
        """Signs the visitor out."""
        session = await self.open(scope)
        visit: Visit = scope[VISIT]
        if session is not None:
            await self._store.end(session)
        visit.session = None
        visit.cookies = [delete_cookie(scope, full_name(self._name, scope))]

    async def commit(self, scope: Scope, headers: RawHeaders) -> None:
        """Stores what the request has changed, and adds the headers of an answer that depends on who asks."""
        visit: Visit = scope[VISIT]
        if visit.session is not None and visit.session.changed():
            value = await self._store.save(visit.session)
            if value is not None:
                visit.cookies = [set_cookie(scope, self._name, value, self._lifetime)]
        headers += visit.cookies
        names = {name.lower(): value for name, value in headers}
        if b"cache-control" not in names:
            headers.append((b"cache-control", b"no-store"))
        if b"cookie" not in names.get(b"vary", b"").lower():
            headers.append((b"vary", b"Cookie"))

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
        ended = [session for session in await self._store.of_user(user) if session.key != keep]
        for session in ended:
            await self._store.end(session)
        return len(ended)

    async def _note_seen(self, scope: Scope, visit: Visit, session: Session) -> None:
        now = self._clock()
        if now - session.seen < SEEN_EVERY:
            return
        session.seen = now
        value = await self._store.touch(session)
        if value is not None:
            visit.cookies = [set_cookie(scope, self._name, value, self._lifetime)]

    async def _move_over(self, scope: Scope, visit: Visit, header: bytes) -> Session | None:
        """A session for who still has a valid cookie of the app that was here before."""
        old = self._legacy.read(header) if self._adopt is not None and self._legacy.any else None
        if old is None or self._adopt is None:
            return None
        user = await self._adopt(old.user)
        if user is None or not await self._store.first_use(old.digest):
            return None
        session = await self.begin(scope, user, old.how)
        visit.cookies.append(delete_cookie(scope, old.cookie))
        return session


def flash(session: Session, message: str) -> None:
    """Leaves a message (an English sentence, translated when shown) for the next page that the visitor sees."""
    session.data[FLASH] = message


def take_flash(session: Session) -> str | None:
    """The message that was left; it shows once."""
    if not session.has_flash:
        return None
    message: str | None = session.data.pop(FLASH, None)
    return message
