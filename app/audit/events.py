"""The event of the catalogue that an audit entry stands for."""

from collections.abc import Callable

from app.events import catalogue
from app.events.event import Event

Facts = dict[str, str]
EVENT_OF_ENTRY: dict[str, Callable[[Facts], Event]] = {
    "sign_in": lambda f: catalogue.SessionBegan(user=f["user"], auth_method=f["detail"], address=f["address"]),
    "moved_over": lambda f: catalogue.SessionBegan(user=f["user"], auth_method="legacy", address=f["address"]),
    "sign_in_failed": lambda f: catalogue.SignInRefused(user=f["user"], address=f["address"], detail=f["detail"]),
    "sign_in_limited": lambda f: catalogue.LimitReached(limit="sign-in", address=f["address"]),
    "sign_out": lambda f: catalogue.SessionEnded(user=f["user"], by=f["actor"], why="sign_out"),
    "session_ended": lambda f: catalogue.SessionEnded(user=f["user"], by=f["actor"], why="ended", detail=f["detail"]),
    "user_created": lambda f: catalogue.UserCreated(user=f["user"], by=f["actor"], source=f["detail"]),
    "renamed": lambda f: catalogue.UserRenamed(user=f["user"], by=f["actor"], before=f["detail"]),
    "user_removed": lambda f: catalogue.UserRemoved(user=f["user"], by=f["actor"], name=f["detail"]),
    "disabled": lambda f: catalogue.UserDisabled(user=f["user"], by=f["actor"]),
    "identity_linked": lambda f: catalogue.IdentityLinked(user=f["user"], by=f["actor"], provider=f["detail"]),
    "identity_unlinked": lambda f: catalogue.IdentityUnlinked(user=f["user"], by=f["actor"], provider=f["detail"]),
    "token_created": lambda f: catalogue.TokenCreated(user=f["user"], by=f["actor"], name=f["detail"]),
    "token_revoked": lambda f: catalogue.TokenRevoked(user=f["user"], by=f["actor"]),
}
"""By the audited event; others raise none."""


def event_of(audited: str, **facts: str) -> Event | None:
    make = EVENT_OF_ENTRY.get(audited)
    return None if make is None else make(facts)
