"""Finds users by parts of names and addresses, and by role and state: a bounded number at a time."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.accounts.models import User, UserPage
from app.accounts.users.names import compare_key
from app.store import keys
from app.store.client import Store
from app.web.errors import BadRequest

MAX_QUERY_LENGTH = 64
MAX_SEARCHED = 2000
"""Users that one request looks at; the next request continues from there."""
BATCH = 250
FLAGS = {"": None, "true": True, "false": False}


@dataclass(frozen=True, slots=True)
class UserFilter:
    """`text` is a part of a name or an address; None and "" match every user."""

    text: str = ""
    is_admin: bool | None = None
    disabled: bool | None = None
    group: str = ""
    never_signed_in: bool = False

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "UserFilter":
        """Of the parameters `q`, `role`, `disabled`, `group` and `never_signed_in`. Raises BadRequest."""
        return cls(
            text=query.get("q", "")[:MAX_QUERY_LENGTH],
            is_admin=_choice(query, "role", {"": None, "admin": True, "user": False}),
            disabled=_choice(query, "disabled", FLAGS),
            group=query.get("group", "")[:MAX_QUERY_LENGTH],
            never_signed_in=bool(_choice(query, "never_signed_in", FLAGS)),
        )

    @property
    def matches_all(self) -> bool:
        return self == UserFilter()

    def matches(self, user: User) -> bool:
        wanted = compare_key(self.text)
        return (
            any(wanted in compare_key(text) for text in (user.name, user.display_name, user.email))
            and self.is_admin in (None, user.is_admin)
            and self.disabled in (None, user.disabled)
            and self.group in ("", *user.groups)
            and not (self.never_signed_in and user.signed_in)
        )


class UserSearch:
    """Raises StoreUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, wanted: UserFilter, after: str | None = None, limit: int = 50) -> UserPage:
        """Matching users in order of their names; `after` is the former page's cursor."""
        if wanted.matches_all:
            names = await self._names(after, limit + 1)
            users = await self._users(names[:limit])
            total = await self._store.idempotent("ZCARD", keys.ACCOUNT_NAMES_SORTED)
            return UserPage(tuple(users), total, _text(names[limit - 1]) if len(names) > limit else None)
        found, place, looked_at = list[User](), after, 0
        while looked_at < MAX_SEARCHED and (after is None or len(found) <= limit):
            names = await self._names(place, BATCH)
            found += await self._matching(wanted, await self._users(names))
            place = _text(names[-1]) if len(names) == BATCH else None
            looked_at += len(names)
            if place is None:
                break
        following = compare_key(found[limit - 1].name) if len(found) > limit else place
        return UserPage(tuple(found[:limit]), len(found) if after is None and place is None else None, following)

    async def _matching(self, wanted: UserFilter, users: Sequence[User]) -> list[User]:
        found = [user for user in users if wanted.matches(user)]
        if not wanted.never_signed_in or not found:
            return found
        # A user who signed in before `signed_in` was stored has an index of sessions.
        known = await asyncio.gather(*(self._store.idempotent("EXISTS", keys.sessions_of(user.id)) for user in found))
        return [user for user, has_sessions in zip(found, known, strict=True) if not has_sessions]

    async def _names(self, after: str | None, limit: int) -> list[bytes]:
        least = b"-" if after is None else b"(" + after.encode("utf-8", "replace")
        names: list[bytes] = await self._store.idempotent(
            "ZRANGEBYLEX", keys.ACCOUNT_NAMES_SORTED, least, "+", "LIMIT", 0, limit
        )
        return names

    async def _users(self, names: Sequence[bytes]) -> list[User]:
        if not names:
            return []
        found = await self._store.idempotent("HMGET", keys.ACCOUNT_NAMES, *names)
        ids = [_text(user_id) for user_id in found if user_id is not None]  # users may have been renamed meanwhile
        hashes = await asyncio.gather(*(self._store.idempotent("HGETALL", keys.user(user_id)) for user_id in ids))
        return [User.from_hash(user_id, fields) for user_id, fields in zip(ids, hashes, strict=True) if fields]


def _choice(query: Mapping[str, str], name: str, choices: Mapping[str, bool | None]) -> bool | None:
    value = query.get(name, "")
    if value not in choices:
        raise BadRequest(f"{name}: must be one of {', '.join(filter(None, choices))}", field=name)
    return choices[value]


def _text(value: bytes) -> str:
    return value.decode()
