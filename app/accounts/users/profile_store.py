"""The profiles of users and their groups in Redis."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from app.accounts.models import User
from app.accounts.users.base_store import BaseStore
from app.accounts.users.profile import email_key
from app.accounts.users.store import NoSuchUser
from app.store import keys
from app.store.hashes import set_if_exists
from app.store.scripts import Script
from app.web.errors import Conflict
from app.web.i18n import N_

# KEYS from the third are the sets of the groups that the user leaves or joins.
SET_GROUPS = Script("""
local user, groups = unpack(KEYS, 1, 2)
local id, before, now, joined, left = unpack(ARGV, 1, 5)
if redis.call('EXISTS', user) == 0 then return 'unknown' end
local after = ARGV[6]
local present = redis.call('HGET', user, 'groups') or ''
if present == after then return 'same' end
if present ~= before then return 'changed' end
for n = 1, tonumber(joined) do
  redis.call('HSETNX', groups, ARGV[6 + n], now)
  redis.call('SADD', KEYS[2 + n], id)
end
for n = joined + 1, joined + left do redis.call('SREM', KEYS[2 + n], id) end
redis.call('HSET', user, 'groups', after)
return 'set'
""")
SET_EMAIL = Script("""
local user, emails = unpack(KEYS)
local id, email, key, verified = unpack(ARGV)
if redis.call('EXISTS', user) == 0 then return 'unknown' end
if verified == '1' then
  local owner = redis.call('HGET', emails, key)
  if owner and owner ~= id then return 'taken' end
end
local before = string.lower(redis.call('HGET', user, 'email') or '')
if redis.call('HGET', emails, before) == id then redis.call('HDEL', emails, before) end
redis.call('HSET', user, 'email', email, 'email_verified', verified)
if verified == '1' then redis.call('HSET', emails, key, id) end
return 'set'
""")


Groups = tuple[str, ...]


class EmailTaken(Conflict):
    detail = N_("Another account has verified this e-mail address.")


@dataclass(frozen=True, slots=True)
class Group:
    """`created` is Unix seconds; `members` counts users."""

    name: str
    created: float
    members: int

    @property
    def pair(self) -> tuple[str, str]:
        return self.name, self.name


class UserStore(BaseStore):
    async def signed_in(self, user_id: str) -> None:
        """Notes when the user signed in last."""
        await set_if_exists(self._store, keys.user(user_id), "signed_in", f"{self._clock():.3f}")
        self._changed(keys.user(user_id))

    async def set_display_name(self, user_id: str, name: str) -> None:
        """Raises NoSuchUser."""
        if not await set_if_exists(self._store, keys.user(user_id), "display_name", name):
            raise NoSuchUser
        self._changed(keys.user(user_id))

    async def set_email(self, user_id: str, email: str, *, verified: bool) -> None:
        """Raises EmailTaken, NoSuchUser."""
        verified = verified and bool(email)
        touched = (keys.user(user_id), keys.ACCOUNT_EMAILS)
        match await SET_EMAIL.run(self._store, touched, user_id, email, email_key(email), int(verified)):
            case b"taken":
                raise EmailTaken
            case b"unknown":
                raise NoSuchUser
        self._changed(keys.user(user_id))

    async def by_email(self, email: str) -> str | None:
        """The id of the user who has verified the address."""
        owner = await self._store.idempotent("HGET", keys.ACCOUNT_EMAILS, email_key(email))
        return owner.decode() if owner is not None else None

    async def set_groups(self, user_id: str, groups: tuple[str, ...]) -> None:
        """Raises NoSuchUser."""
        await self.change_groups(user_id, lambda _: groups)

    async def change_groups(self, user_id: str, change: Callable[[Groups], Groups]) -> tuple[Groups, Groups]:
        """Returns the groups before and after. Concurrent changes are all kept; a group is made at its first use.

        Raises NoSuchUser.
        """
        while True:
            fields = await self._store.idempotent("HGETALL", keys.user(user_id))
            if not fields:
                raise NoSuchUser
            before = User.from_hash(user_id, fields).groups
            groups = change(before)
            joined, left = sorted(set(groups) - set(before)), sorted(set(before) - set(groups))
            touched = (keys.user(user_id), keys.ACCOUNT_GROUPS, *map(keys.group, (*joined, *left)))
            outcome = await SET_GROUPS.run(
                self._store, touched, user_id, ",".join(before), repr(self._clock()), len(joined), len(left),
                ",".join(groups), *joined,
            )  # fmt: skip
            match outcome:
                case b"set" | b"same":
                    self._changed(keys.user(user_id))
                    return before, groups
                case b"unknown":
                    raise NoSuchUser

    async def create_group(self, name: str) -> bool:
        """Whether the group is new."""
        return bool(await self._store.idempotent("HSETNX", keys.ACCOUNT_GROUPS, name, repr(self._clock())))

    async def groups(self) -> tuple[Group, ...]:
        """All groups in order of their names."""
        found = await self._store.idempotent("HGETALL", keys.ACCOUNT_GROUPS)
        names = sorted(name.decode() for name in found)
        counts = await asyncio.gather(*(self._store.idempotent("SCARD", keys.group(name)) for name in names))
        return tuple(Group(name, float(found[name.encode()]), count) for name, count in zip(names, counts, strict=True))

    async def members(self, group: str) -> list[str]:
        """The ids of the group's members."""
        return sorted(one.decode() for one in await self._store.idempotent("SMEMBERS", keys.group(group)))

    async def remove_group(self, name: str) -> bool:
        """Takes all members out and removes the group, which is listed until it has none: so this can be repeated after
        StoreUnavailable. Returns whether there was one.
        """
        if not await self._store.idempotent("HEXISTS", keys.ACCOUNT_GROUPS, name):
            return False
        while members := await self.members(name):
            for user_id in members:
                await self._leave(user_id, name)
        await self._store.idempotent("HDEL", keys.ACCOUNT_GROUPS, name)
        return True

    async def _leave(self, user_id: str, group: str) -> None:
        before: Groups = ()
        with suppress(NoSuchUser):
            before, _ = await self.change_groups(user_id, lambda now: tuple(each for each in now if each != group))
        if group not in before:
            await self._store.idempotent("SREM", keys.group(group), user_id)
