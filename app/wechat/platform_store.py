"""An open platform in Redis: its last ticket and the accounts that authorised it, with their refresh tokens."""

import secrets
from dataclasses import dataclass, field

from app.accounts.secret import digest
from app.store.encryption import Encryption
from app.store.hashes import set_if_exists
from app.store.keys import wechat as wechat_keys
from app.store.reencryption import reencrypt_field
from app.store.scripts import Script
from app.store.tracking import Fields, TrackedHashes, Tracking

CODE_SECONDS = 3600
"""Seconds for which a used authorization code is remembered; longer than it is valid."""

# Notices may come in another order than they were sent.
SAVE_TICKET = Script("""
if tonumber(redis.call('HGET', KEYS[1], 'created') or 0) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'created', unpack(ARGV))
return 1
""")
ADD = Script("""
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[2], unpack(ARGV, 2))
""")
# A retry after a lost reply finds its own mark.
CLAIM = Script("""
local owner = redis.call('GET', KEYS[1])
if owner then return owner == ARGV[1] and 1 or 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
""")
REMOVE = Script("""
redis.call('SREM', KEYS[1], ARGV[1])
return redis.call('DEL', KEYS[2])
""")


@dataclass(frozen=True, slots=True)
class Authorization:
    """An account that authorised the platform. `functions` are the numbers of the granted functions."""

    appid: str
    refresh_token: str = field(repr=False)
    since: float
    functions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ticket:
    value: str = field(repr=False)
    created: float


class PlatformStore:
    """Raises StoreUnavailable."""

    def __init__(self, tracking: Tracking, encryption: Encryption, name: str) -> None:
        self._store = tracking.store
        self._encryption = encryption
        self._name = name
        self._cache = TrackedHashes(tracking, self._parse)
        self._accounts = wechat_keys.wechat_accounts(name)

    async def save_ticket(self, ticket: str, created: int) -> bool:
        """Returns False for a ticket that is older than the stored one."""
        sealed = self._encryption.encrypt(ticket.encode())
        return bool(
            await SAVE_TICKET.run(self._store, [wechat_keys.wechat_ticket(self._name)], created, "value", sealed)
        )

    async def ticket(self) -> Ticket | None:
        fields = await self._store.idempotent("HMGET", wechat_keys.wechat_ticket(self._name), "value", "created")
        opened = self._encryption.decrypt(fields[0]) if fields[0] else None
        return Ticket(opened.decode(), float(fields[1])) if opened else None

    async def claim(self, code: str) -> bool:
        """Whether the authorization code is used for the first time."""
        key = wechat_keys.wechat_seen(digest(f"code {code}"))
        return bool(await CLAIM.run(self._store, [key], secrets.token_hex(8), CODE_SECONDS))

    async def release(self, code: str) -> None:
        await self._store.idempotent("DEL", wechat_keys.wechat_seen(digest(f"code {code}")))

    async def add(self, account: Authorization) -> None:
        key = wechat_keys.wechat_account(self._name, account.appid)
        fields = (
            "refresh_token", self._encryption.encrypt(account.refresh_token.encode()), "since", repr(account.since),
            "functions", " ".join(map(str, account.functions)),
        )  # fmt: skip
        await ADD.run(self._store, [self._accounts, key], account.appid, *fields)
        self._cache.forget(key)

    async def save_refresh_token(self, appid: str, refresh_token: str) -> None:
        key = wechat_keys.wechat_account(self._name, appid)
        await set_if_exists(self._store, key, "refresh_token", self._encryption.encrypt(refresh_token.encode()))
        self._cache.forget(key)

    async def remove(self, appid: str) -> bool:
        """Whether the account was authorised."""
        key = wechat_keys.wechat_account(self._name, appid)
        removed = bool(await REMOVE.run(self._store, [self._accounts, key], appid))
        self._cache.forget(key)
        return removed

    async def get(self, appid: str) -> Authorization | None:
        """The account, from the cache if possible."""
        return await self._cache.read(wechat_keys.wechat_account(self._name, appid))

    async def fresh(self, appid: str) -> Authorization | None:
        """The account, read from Redis."""
        self._cache.forget(wechat_keys.wechat_account(self._name, appid))
        return await self.get(appid)

    async def appids(self) -> list[str]:
        return sorted(appid.decode() for appid in await self._store.idempotent("SMEMBERS", self._accounts))

    async def reencrypt(self) -> None:
        """The refresh tokens of all accounts."""
        for appid in await self.appids():
            key = wechat_keys.wechat_account(self._name, appid)
            await reencrypt_field(self._store, self._encryption, key, "refresh_token")

    def _parse(self, appid: str, fields: Fields) -> Authorization | None:
        opened = self._encryption.decrypt(fields[b"refresh_token"])
        functions = tuple(map(int, fields[b"functions"].split()))
        return Authorization(appid, opened.decode(), float(fields[b"since"]), functions) if opened else None
