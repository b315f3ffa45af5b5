"""When a user has proved who they are."""

from app.sessions.legacy.cookies import LEGACY_METHODS
from app.sessions.session import Session


def signed_in_at(session: Session) -> float:
    """Unix seconds of the session's last authentication; a legacy cookie is no proof, so it counts as long ago."""
    return 0.0 if session.auth_method in LEGACY_METHODS else session.auth_time or session.created
