"""The names of users by their ids, for lists."""

import asyncio
from collections.abc import Iterable

from starlette.requests import Request

from app.accounts.lifespan import AccountState


async def names_of(request: Request[AccountState], user_ids: Iterable[str]) -> dict[str, str]:
    """Each user is read once; the id stands for one who is removed."""
    ids = set(user_ids)
    return dict(zip(ids, await asyncio.gather(*(_name(request, user_id) for user_id in ids)), strict=True))


async def _name(request: Request[AccountState], user_id: str) -> str:
    user = await request.state["accounts"].by_id(user_id) if user_id else None
    return user.name if user is not None else user_id
