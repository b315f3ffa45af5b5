"""The filter of the audit log, as a query gives it."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from starlette.requests import Request

from app.accounts.lifespan import AccountState
from app.audit.log import AuditFilter
from app.web.errors import BadRequest

MAX_TIME = 253_402_300_799
"""Unix seconds: the end of the year 9999."""


async def filter_of(request: Request[AccountState]) -> AuditFilter:
    """Of the parameters `user` (an id or a name), `event`, `since` and `until`. Raises BadRequest."""
    query = request.query_params
    return AuditFilter(
        user=await _user_id(request, query.get("user", "").strip()[:256]),
        event=query.get("event", "")[:64],
        since=_time(query, "since"),
        until=_time(query, "until"),
    )


async def _user_id(request: Request[AccountState], text: str) -> str:
    """The id of the user of this name; else the text, which may be the id of a user who is removed."""
    user = await request.state["accounts"].by_name(text) if text else None
    return user.id if user is not None else text


def _time(query: Mapping[str, str], name: str) -> float | None:
    """ISO 8601 (in UTC unless it says otherwise) or Unix seconds; a date alone lasts until its end.

    Raises BadRequest.
    """
    text = query.get(name, "").strip()
    if not text:
        return None
    try:
        if text.replace(".", "", 1).isdecimal():
            return min(float(text), MAX_TIME)
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        if name == "until" and len(text) <= len("2026-11-28"):
            moment += timedelta(days=1, milliseconds=-1)
        return max(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp(), 0)
    except (ValueError, OverflowError):
        raise BadRequest(f"{name}: must be a time such as {time.strftime('%Y-%m-%d')}", field=name) from None
