"""Users in Redis. Scripts keep the invariants over several keys: names are unique, one administrator remains."""

import secrets
from typing import Any

from app.accounts.invitations.invitations import JOIN_GROUPS, find_invitation
from app.accounts.models import User
from app.accounts.users.base_store import BaseStore
from app.accounts.users.names import BadName, compare_key, normal
from app.store import keys
from app.store.hashes import compare_and_set
from app.store.scripts import Script
from app.web.errors import Conflict, NotFound
from app.web.i18n import N_

# The first line makes a retry safe: if the name leads to the same id, the first attempt succeeded.
CREATE = Script(
    JOIN_GROUPS
    + """
local user, names, sorted, admins, nonce, invitations = unpack(KEYS, 1, 6)
local id, name, admin, first, invitation, now, groups = unpack(ARGV, 1, 7)
local owner = redis.call('HGET', names, name)
if owner == id then return 'created' end
if first == '1' and redis.call('SCARD', admins) > 0 then return 'administered' end
if invitation ~= '' then
  local expires = redis.call('ZSCORE', invitations, invitation)
  if not expires or tonumber(expires) <= tonumber(now) then return 'uninvited' end
end
if owner then return 'taken' end
redis.call('ZREM', invitations, invitation)
redis.call('HSET', names, name, id)
redis.call('ZADD', sorted, 0, name)
redis.call('HSET', user, unpack(ARGV, 8))
join_groups(id, now, groups, 7)
if admin == '1' then
  redis.call('SADD', admins, id)
  redis.call('DEL', nonce)
end
return 'created'
"""
)
CHANGE = Script("""
local user, admins = unpack(KEYS)
local id, field, value = unpack(ARGV)
if redis.call('EXISTS', user) == 0 then return 'unknown' end
if redis.call('HEXISTS', user, 'removing') == 1 and ARGV[4] ~= 'removing' then return 'unknown' end
local now = {admin = redis.call('HGET', user, 'admin'), disabled = redis.call('HGET', user, 'disabled')}
now[field] = value
if now.admin == '1' and now.disabled == '0' then
  redis.call('SADD', admins, id)
elseif redis.call('SISMEMBER', admins, id) == 1 then
  if redis.call('SCARD', admins) == 1 then return 'last' end
  redis.call('SREM', admins, id)
end
redis.call('HSET', user, field, value)
if ARGV[4] == 'removing' then redis.call('HSET', user, 'removing', '1') end
return 'changed'
""")
# A user who has the new name already retries after a lost reply.
RENAME = Script("""
local user, names, sorted = unpack(KEYS)
local id, before, before_key, name, key = unpack(ARGV)
local now = redis.call('HGET', user, 'name')
if now == name then return 'renamed' end
if now ~= before then return 'changed' end
local owner = redis.call('HGET', names, key)
if owner and owner ~= id then return 'taken' end
redis.call('HDEL', names, before_key)
redis.call('ZREM', sorted, before_key)
redis.call('HSET', names, key, id)
redis.call('ZADD', sorted, 0, key)
redis.call('HSET', user, 'name', name)
return 'renamed'
""")
REMOVE = Script("""
local user, names, sorted, emails = unpack(KEYS)
local id, key = unpack(ARGV)
local email, groups = string.lower(redis.call('HGET', user, 'email') or ''), redis.call('HGET', user, 'groups')
if redis.call('HGET', emails, email) == id then redis.call('HDEL', emails, email) end
if redis.call('HGET', names, key) == id then
  redis.call('HDEL', names, key)
  redis.call('ZREM', sorted, key)
end
redis.call('DEL', user)
return groups or ''
""")
NONCE = Script("""
local admins, nonce = unpack(KEYS)
if redis.call('SCARD', admins) > 0 then return false end
redis.call('SET', nonce, ARGV[1], 'NX')
return redis.call('GET', nonce)
""")
NEWCOMER = ["newcomer", "1"]
"""Field and value of a new user. A cookie of a former app may hold the same name."""
PRINTED_FOR = 3600
"""Seconds for which only the first worker of a start prints the setup link."""


class NameTaken(Exception):
    """A user has this name, or one that compares equal."""


class BadInvitation(Exception):
    """The invitation is unknown, used, withdrawn or too old."""


class AdminExists(Exception):
    """There is an administrator, so the first one cannot be made any more."""


class LastAdmin(Conflict):
    """The change would leave no administrator who can sign in."""

    detail = N_("This is the last administrator.")


class NoSuchUser(NotFound):
    """No user has this id, or no longer."""


class AccountStore(BaseStore):
    async def create(
        self,
        name: str,
        password_hash: str | None,
        *,
        is_admin: bool = False,
        first_admin: bool = False,
        invitation: str | None = None,
        newcomer: bool = False,
    ) -> User:
        """Makes a user; an `invitation` (its secret) is used up in the same step. Raises BadName, BadInvitation,
        NameTaken, and AdminExists for a second `first_admin`.
        """
        name, now = normal(name), self._clock()
        invited_as = await find_invitation(self._store, invitation)
        is_admin = is_admin or first_admin or invited_as.is_admin
        user = User(
            secrets.token_hex(16), name, is_admin, False, None, now, password_hash is not None,
            email=invited_as.email, groups=invited_as.groups,
        )  # fmt: skip
        fields = user.to_hash() + ([] if password_hash is None else ["password", password_hash])
        fields += NEWCOMER if newcomer else []
        touched = (
            keys.user(user.id), keys.ACCOUNT_NAMES, keys.ACCOUNT_NAMES_SORTED, keys.ACCOUNT_ADMINS,
            keys.SETUP_NONCE, keys.INVITATIONS, keys.ACCOUNT_GROUPS, *map(keys.group, user.groups),
        )  # fmt: skip
        outcome = await CREATE.run(
            self._store, touched, user.id, compare_key(name), int(is_admin), int(first_admin), invited_as.id, repr(now),
            ",".join(user.groups), *fields,
        )  # fmt: skip
        match outcome:
            case b"taken":
                raise NameTaken(name)
            case b"uninvited":
                raise BadInvitation
            case b"administered":
                raise AdminExists
        return user

    async def has_admin(self) -> bool:
        return bool(await self._store.idempotent("SCARD", keys.ACCOUNT_ADMINS))

    async def by_id(self, user_id: str) -> User | None:
        fields = await self._fields(user_id)
        return User.from_hash(user_id, fields) if fields else None

    async def by_name(self, name: str) -> User | None:
        return (await self.credentials(name))[0]

    async def credentials(self, name: str) -> tuple[User | None, str | None]:
        """(the user, the password's hash) for a sign-in; does the same work for an unknown name."""
        try:
            key = compare_key(normal(name))
        except BadName:
            key = ""
        user_id = (await self._store.idempotent("HGET", keys.ACCOUNT_NAMES, key) or b"nobody").decode()
        fields = await self._fields(user_id)
        if not fields:
            return None, None
        return User.from_hash(user_id, fields), _text(fields.get(b"password"))

    async def password_hash(self, user_id: str) -> str | None:
        return _text(await self._store.idempotent("HGET", keys.user(user_id), "password"))

    async def set_password(self, user_id: str, password_hash: str) -> None:
        await self._change(user_id, "password", password_hash)

    async def replace_password(self, user_id: str, old: str, new: str) -> bool:
        """Replaces the old hash; False, with nothing changed, if another request replaced it meanwhile."""
        name = keys.user(user_id)
        replaced = await compare_and_set(self._store, name, "password", old, new)
        self._changed(name)
        return replaced

    async def rename(self, user_id: str, name: str) -> str | None:
        """Renames. Returns the former name; None if it is the same. Of two concurrent calls the later one wins.

        Raises BadName, NameTaken, NoSuchUser.
        """
        name, touched = normal(name), (keys.user(user_id), keys.ACCOUNT_NAMES, keys.ACCOUNT_NAMES_SORTED)
        while user := await self.by_id(user_id):
            before = user.name
            match await RENAME.run(self._store, touched, user_id, before, compare_key(before), name, compare_key(name)):
                case b"taken":
                    raise NameTaken(name)
                case b"renamed":
                    self._changed(touched[0])
                    return before if before != name else None
        raise NoSuchUser

    async def set_admin(self, user_id: str, is_admin: bool) -> None:
        """Raises LastAdmin, NoSuchUser."""
        await self._change(user_id, "admin", int(is_admin))

    async def set_disabled(self, user_id: str, disabled: bool) -> None:
        """Raises LastAdmin, NoSuchUser."""
        await self._change(user_id, "disabled", int(disabled))

    async def begin_removal(self, user_id: str) -> None:
        """Disables a user before the removal: no action enables or promotes it again. Raises LastAdmin, NoSuchUser."""
        await self._change(user_id, "disabled", 1, "removing")

    async def remove(self, user: User) -> None:
        """Removes a user after `begin_removal`: the name and the address become available to others."""
        touched = (keys.user(user.id), keys.ACCOUNT_NAMES, keys.ACCOUNT_NAMES_SORTED, keys.ACCOUNT_EMAILS)
        groups = await REMOVE.run(self._store, touched, user.id, compare_key(user.name))
        for group in filter(None, groups.decode().split(",")):
            await self._store.idempotent("SREM", keys.group(group), user.id)
        self._changed(touched[0])

    async def set_locale(self, user_id: str, locale: str | None) -> None:
        await self._change(user_id, "locale", locale or "")

    async def setup_nonce(self) -> str:
        """A random text, the same for all workers. Raises AdminExists once there is an administrator."""
        nonce = await NONCE.run(self._store, [keys.ACCOUNT_ADMINS, keys.SETUP_NONCE], secrets.token_hex(16))
        if nonce is None:
            raise AdminExists
        return str(nonce.decode())

    async def first_to_print(self, start: str, worker: str) -> bool:
        """Whether this worker prints the setup link; `start` is the same for all workers of a start."""
        name = keys.setup_printed(start)
        await self._store.idempotent("SET", name, worker, "NX", "EX", PRINTED_FOR)
        return _text(await self._store.idempotent("GET", name)) == worker

    async def _fields(self, user_id: str) -> dict[bytes, bytes]:
        fields: dict[bytes, bytes] = await self._store.idempotent("HGETALL", keys.user(user_id))
        return fields

    async def _change(self, user_id: str, field: str, value: str | int, removing: str = "") -> None:
        name = keys.user(user_id)
        match await CHANGE.run(self._store, [name, keys.ACCOUNT_ADMINS], user_id, field, value, removing):
            case b"unknown":
                raise NoSuchUser
            case b"last":
                raise LastAdmin
        self._changed(name)


def _text(value: Any) -> str | None:
    return value.decode() if isinstance(value, bytes) else None
