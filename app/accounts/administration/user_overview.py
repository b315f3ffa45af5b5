"""What the administration shows of a user beside the account: last use, ways to sign in."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.requests import Request

from app.accounts.lifespan import AccountState
from app.accounts.models import User


@dataclass(frozen=True, slots=True)
class UserOverview:
    """`last_seen` is Unix seconds, None if the user never signed in; `ways` are `password`, `passkey`, `totp` and
    names of providers.
    """

    user: User
    last_seen: float | None
    ways: tuple[str, ...]


async def overviews(request: Request[AccountState], users: Iterable[User]) -> list[UserOverview]:
    return await asyncio.gather(*(overview(request, user) for user in users))


async def overview(request: Request[AccountState], user: User) -> UserOverview:
    """Raises StoreUnavailable."""
    sessions, identities = await asyncio.gather(
        request.state["sessions"].of_user(user.id), request.state["identities"].of_user(user.id)
    )
    seen = max((user.signed_in, *(session.seen for session in sessions)))
    ways = [*(["password"] if user.has_password else []), *user.second_factors, *(each.provider for each in identities)]
    return UserOverview(user, seen or None, tuple(dict.fromkeys(ways)))
