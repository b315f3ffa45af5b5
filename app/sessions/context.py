"""The session of one request."""

from dataclasses import dataclass, field

from starlette.types import Scope

from app.sessions.session import Session
from app.web.headers import RawHeader

SESSION_CONTEXT = "tallygate.session"
"""The scope key of a request's SessionContext."""


@dataclass(slots=True)
class SessionContext:
    """The session state of one request. `cookies` are the Set-Cookie headers of its response, by name."""

    session: Session | None = None
    opened: bool = False
    committed: bool = False
    cookies: dict[str, RawHeader] = field(default_factory=dict)


def forget_session(scope: Scope) -> None:
    """For a request that lasts: its session is opened anew, it may have ended meanwhile."""
    context: SessionContext | None = scope.get(SESSION_CONTEXT)
    if context is not None:
        context.session, context.opened = None, False
