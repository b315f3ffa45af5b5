"""The session of one request."""

from dataclasses import dataclass, field

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
