"""Sessions whole in the cookie, in Flask's format."""

import time
from collections.abc import Callable

from app.sessions.flask_format import FlaskCookies, TaggedJson
from app.sessions.session import Changes, Session, SessionStore
from app.sessions.signing import signing_keys
from app.sessions.timeouts import Timeouts
from app.settings import Settings


class CookieSessions(SessionStore):
    """Nothing is stored on the server, so no session can be revoked.

    Of two concurrent requests, the response that the browser receives last wins.
    """

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

    async def create(self, session: Session) -> str:
        return self._dump(session)

    async def save(self, session: Session, changes: Changes) -> str | None:
        return self._dump(session)

    async def touch(self, session: Session) -> str | None:
        return self._dump(session)

    def _dump(self, session: Session) -> str:
        own = {"user": session.user, "created": session.created, "seen": int(session.seen), "how": session.auth_method}
        own |= {"auth_time": session.auth_time, "amr": " ".join(session.amr)}
        own |= {"brief": True} if session.brief else {}
        if taken := own.keys() & session.data.keys():
            raise TypeError(f"a session in the cookie needs {', '.join(sorted(taken))} for itself")
        return self._cookies.dumps(session.data | own)
