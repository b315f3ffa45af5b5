"""When sessions expire. Pure."""

from app.sessions.session import Session
from app.settings import Settings


class Timeouts:
    def __init__(self, settings: Settings) -> None:
        self._idle = settings.session_idle_timeout
        self.shortest_idle = min(self._idle, settings.brief_session_idle_timeout)
        self._absolute = settings.session_absolute_timeout

    def expiry(self, session: Session) -> float:
        """Unix seconds: the idle or the absolute timeout, whichever comes first."""
        return min(session.seen + self.idle(session), session.created + self._absolute)

    def idle(self, session: Session) -> int:
        """Seconds."""
        return self.shortest_idle if session.brief else self._idle
