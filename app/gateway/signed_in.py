"""The time of a session's last authentication."""

from app.sessions.legacy.cookies import LEGACY_METHODS
from app.sessions.session import Session


def signed_in_at(session: Session) -> float:
    """Unix seconds of the session's last authentication; 0 for a legacy cookie, which proves nothing."""
    return 0.0 if session.auth_method in LEGACY_METHODS else session.auth_time or session.created
