"""A user's own data: an export of everything that is kept of the user."""

from dataclasses import asdict
from typing import Any

from starlette.requests import Request

from app.accounts.helpers import audit
from app.accounts.lifespan import S
from app.accounts.models import User
from app.audit.log import AuditFilter, Event

MAX_ENTRIES = 1000
"""Newest entries of the audit log in an export."""


async def export(request: Request[S], user: User) -> dict[str, Any]:
    """Everything that is kept of the user, without secrets. Raises StoreUnavailable."""
    state = request.state
    log = await state["audit"].page(limit=MAX_ENTRIES, wanted=AuditFilter(user=user.id))
    sessions = await state["sessions"].of_user(user.id)
    factors = state["second_factors"]
    data = {
        "user": asdict(user),
        "passkeys": [
            {name: getattr(each, name) for name in ("name", "created", "used", "synced")}
            for each in await factors.passkeys(user.id)
        ],
        "recovery_codes_left": await factors.unused_codes(user.id),
        "identities": [asdict(identity) for identity in await state["identities"].of_user(user.id)],
        "sessions": [
            {name: getattr(each, name) for name in ("device", "address", "created", "seen", "auth_method")}
            for each in sessions
        ],
        "tokens": [asdict(token) for token in await state["tokens"].list(user.id)],
        "invitations": [asdict(each) for each in await state["invitations"].made_by(user.id)],
        "audit": [asdict(entry) for entry in log.entries],
    }
    for name, kept in state["personal_data"].items():
        data[name] = await kept.export(user.id)
    await audit(request, Event.DATA_EXPORTED, user=user)
    return data
