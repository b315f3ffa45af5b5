"""Sessions whole in the cookie, in Flask's format."""

import time
from collections.abc import Callable

from app.sessions.flask_format import FlaskCookies, TaggedJson
from app.sessions.session import Changes, Session, SessionPage
from app.sessions.signing import signing_keys
from app.sessions.timeouts import Timeouts
from app.settings import Settings
from app.store.tracking import Pin


class CookieSessions:
    """Nothing is stored on the server, so no session can be revoked.

    Of two concurrent requests, the response that the browser receives last wins.
    """

    revocable = False

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._cookies = FlaskCookies(signing_keys(settings), settings.session_absolute_timeout, clock)
        self._timeouts = Timeouts(settings)
        self._clock = clock

    async def load(self, cookie: str) -> Session | None:
        match self._cookies.loads(cookie):
            case {
                "user": str(user),
                "created": float(created) | int(created),
                "seen": float(seen) | int(seen),
                "how": str(auth_method),
                **rest,
            }:
                at, amr, brief = rest.pop("auth_time", 0), rest.pop("amr", ""), bool(rest.pop("brief", False))
                stored = {str(name): TaggedJson.dumps(value) for name, value in rest.items()}
                session = Session("", user, created, seen, auth_method, brief=brief, stored=stored)
                session.auth_time = float(at) if isinstance(at, int | float) else 0.0
                session.amr = tuple(str(amr).split())
                return session if self._clock() < self._timeouts.expiry(session) else None
        return None

    def cached(self, key: str) -> Session | None:
        return None

    async def by_key(self, key: str) -> Session | None:
        return None

    def pin(self, session: Session) -> tuple[Pin | None, float]:
        return None, 0.0

    def cached_by_root(self, root: str) -> Session | None:
        return None

    async def by_root(self, root: str) -> Session | None:
        return None

    async def create(self, session: Session) -> str:
        return self._dump(session)

    async def save(self, session: Session, changes: Changes) -> str | None:
        return self._dump(session)

    async def touch(self, session: Session) -> str | None:
        return self._dump(session)

    async def save_recheck(self, session: Session) -> None:
        return

    async def end(self, session: Session, *, goes_on: bool = False) -> None:
        return

    async def of_user(self, user: str) -> list[Session]:
        return []

    async def page_of_user(self, user: str, offset: int, limit: int) -> SessionPage:
        return SessionPage([], 0)

    def _dump(self, session: Session) -> str:
        own = {"user": session.user, "created": session.created, "seen": int(session.seen), "how": session.auth_method}
        own |= {"auth_time": session.auth_time, "amr": " ".join(session.amr)}
        own |= {"brief": True} if session.brief else {}
        if taken := own.keys() & session.data.keys():
            raise TypeError(f"a session in the cookie needs {', '.join(sorted(taken))} for itself")
        return self._cookies.dumps(session.data | own)
