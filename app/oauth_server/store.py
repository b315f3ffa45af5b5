"""Families of tokens, grants, waiting requests and clients in Redis. Coroutines raise StoreUnavailable."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import orjson

from app.accounts.secret import digest
from app.oauth_server.models import AuthorizationRequest, Client, Family, Grant
from app.store import keys
from app.store.client import Store
from app.store.scripts import Script
from app.store.tracking import Fields, TrackedHashes, Tracking

DAY = 86_400
CODE_LIFETIME = 60
REFRESH_LIFETIME = 30 * DAY
"""Seconds without a refresh after which a family ends."""
REFRESH_GRACE = 10
"""Seconds for which the former refresh token gives the current one again: for a lost answer, or two tabs at once."""
REQUEST_LIFETIME = 900
# A retry of the same attempt after a lost reply is no replay. A code that is used twice ends what it gave.
REDEEM = Script("""
local family, attempt, lifetime = KEYS[1], ARGV[1], ARGV[2]
local generation = redis.call('HGET', family, 'g')
if not generation then return 'unknown' end
if generation ~= '0' then
  if redis.call('HGET', family, 'q') == attempt then return 'ok' end
  redis.call('DEL', family)
  return 'replayed'
end
redis.call('HSET', family, 'g', 1, 'q', attempt)
redis.call('HDEL', family, 'n', 'x', 'h')
redis.call('EXPIRE', family, lifetime)
return 'ok'
""")
# The token presented is known to be ours. One that is ahead was issued before the store went back in time.
ROTATE = Script("""
local family, presented, now, grace, lifetime = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
local generation = tonumber(redis.call('HGET', family, 'g') or 0)
if generation == 0 then return 0 end
if presented >= generation then
  redis.call('HSET', family, 'g', presented + 1, 't', ARGV[2])
  redis.call('EXPIRE', family, lifetime)
  return presented + 1
end
if presented == generation - 1 and now - tonumber(redis.call('HGET', family, 't') or 0) <= tonumber(grace) then
  return generation
end
redis.call('DEL', family)
return 0
""")
REVOKE_ACCESS = Script("""
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'b', ARGV[1]) end
""")


class OAuthStore:
    def __init__(self, store: Store, tracking: Tracking, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._families = TrackedHashes(tracking, parse_family)
        self._clients = TrackedHashes(tracking, _parse_client)
        self._salt = ""

    def cached_family(self, family_id: str) -> Family | None:
        return self._families.kept(keys.oauth_family(family_id))

    async def family(self, family_id: str) -> Family | None:
        return await self._families.read(keys.oauth_family(family_id))

    async def begin(self, family: Family) -> None:
        """Stores a family whose code may be redeemed for a minute."""
        name, index = keys.oauth_family(family.id), keys.oauth_families(family.user)
        await asyncio.gather(
            self._store.idempotent("HSET", name, *_family_fields(family)),
            self._store.idempotent("EXPIRE", name, CODE_LIFETIME),
            self._store.idempotent("ZADD", index, int(family.created), family.id),
            self._store.idempotent("EXPIRE", index, 2 * REFRESH_LIFETIME),
        )

    async def redeem(self, family: Family) -> bool:
        """Uses the code up. Used twice, the family ends."""
        name = keys.oauth_family(family.id)
        outcome = await REDEEM.run(self._store, [name], secrets.token_hex(8), REFRESH_LIFETIME)
        self._families.forget(name)
        return bool(outcome == b"ok")

    async def rotate(self, family: Family, presented: int) -> int:
        """The generation of the next refresh token; 0 if this one was used before, which ends the family."""
        name = keys.oauth_family(family.id)
        now = f"{self._clock():.0f}"
        rotated: int = await ROTATE.run(self._store, [name], presented, now, REFRESH_GRACE, REFRESH_LIFETIME)
        self._families.forget(name)
        if rotated:
            await self._store.idempotent("EXPIRE", keys.oauth_families(family.user), 2 * REFRESH_LIFETIME)
        return rotated

    async def end(self, family: Family) -> None:
        """Revokes all tokens of a family."""
        await self._store.idempotent("DEL", keys.oauth_family(family.id))
        self._families.forget(keys.oauth_family(family.id))
        await self._store.idempotent("ZREM", keys.oauth_families(family.user), family.id)

    async def revoke_access(self, family: Family) -> None:
        """Revokes the access tokens that were issued until now."""
        await REVOKE_ACCESS.run(self._store, [keys.oauth_family(family.id)], int(self._clock()))
        self._families.forget(keys.oauth_family(family.id))

    async def families_of(self, user_id: str) -> list[Family]:
        ids = await self._store.idempotent("ZRANGE", keys.oauth_families(user_id), 0, -1)
        found = await asyncio.gather(*(self.family(each.decode()) for each in ids))
        gone = [each for each, family in zip(ids, found, strict=True) if family is None]
        if gone:
            await self._store.idempotent("ZREM", keys.oauth_families(user_id), *gone)
        return [family for family in found if family is not None]

    async def grants(self, user_id: str) -> dict[str, Grant]:
        found = await self._store.idempotent("HGETALL", keys.oauth_grants(user_id))
        return {client.decode(): _grant(client.decode(), value) for client, value in found.items()}

    async def grant(self, user_id: str, client_id: str) -> Grant | None:
        value = await self._store.idempotent("HGET", keys.oauth_grants(user_id), client_id)
        return None if value is None else _grant(client_id, value)

    async def save_grant(self, user_id: str, grant: Grant) -> None:
        value = orjson.dumps({"scopes": grant.scopes, "first": grant.first, "last": grant.last})
        await self._store.idempotent("HSET", keys.oauth_grants(user_id), grant.client, value)

    async def withdraw(self, user_id: str, client_id: str) -> bool:
        """Forgets a grant and ends its families. Returns whether there was one."""
        removed = await self._store.idempotent("HDEL", keys.oauth_grants(user_id), client_id)
        ended = [family for family in await self.families_of(user_id) if family.client == client_id]
        await asyncio.gather(*map(self.end, ended))
        return bool(removed or ended)

    async def keep_request(self, request: AuthorizationRequest) -> str:
        """The id under which the request waits."""
        request_id = secrets.token_urlsafe(24)
        await self.update_request(request_id, request)
        return request_id

    async def update_request(self, request_id: str, request: AuthorizationRequest) -> None:
        name = keys.oauth_request(digest(request_id))
        await self._store.idempotent("SET", name, orjson.dumps(asdict(request)), "EX", REQUEST_LIFETIME)

    async def request(self, request_id: str) -> AuthorizationRequest | None:
        value = await self._store.idempotent("GET", keys.oauth_request(digest(request_id)))
        if value is None:
            return None
        fields = orjson.loads(value)
        fields |= {name: tuple(fields[name]) for name in ("scopes", "asked", "prompt")}
        return AuthorizationRequest(**fields)

    async def take_request(self, request_id: str) -> bool:
        """Whether the request was still waiting: it is used once."""
        return bool(await self._store.once("DEL", keys.oauth_request(digest(request_id))))

    async def use_assertion(self, client_id: str, jti: str, lifetime: int) -> bool:
        """Whether the assertion is new."""
        name = keys.oauth_assertion(digest(f"{client_id}\n{jti}"))
        return bool(await self._store.once("SET", name, b"", "NX", "EX", max(lifetime, 1)))

    async def client(self, client_id: str) -> Client | None:
        return await self._clients.read(keys.oauth_client(client_id)) if client_id else None

    async def client_page(self, offset: int, limit: int) -> tuple[list[Client], int]:
        """(clients, the newest first, how many there are)."""
        ids, total = await asyncio.gather(
            self._store.idempotent("ZRANGE", keys.OAUTH_CLIENTS, offset, offset + limit - 1, "REV"),
            self._store.idempotent("ZCARD", keys.OAUTH_CLIENTS),
        )
        found = await asyncio.gather(*(self.client(each.decode()) for each in ids))
        return [client for client in found if client is not None], total

    async def save_client(self, client: Client) -> None:
        name = keys.oauth_client(client.id)
        await self._store.idempotent("ZADD", keys.OAUTH_CLIENTS, client.created, client.id)
        await self._store.idempotent("HSET", name, "client", orjson.dumps(asdict(client)))
        self._clients.forget(name)

    async def remove_client(self, client_id: str) -> None:
        await self._store.idempotent("DEL", keys.oauth_client(client_id))
        self._clients.forget(keys.oauth_client(client_id))
        await self._store.idempotent("ZREM", keys.OAUTH_CLIENTS, client_id)

    async def salt(self) -> str:
        """The salt of pairwise subjects, made once for ever."""
        if not self._salt:
            await self._store.idempotent("SET", keys.OAUTH_SALT, secrets.token_hex(16), "NX")
            self._salt = (await self._store.idempotent("GET", keys.OAUTH_SALT)).decode()
        return self._salt


def _family_fields(family: Family) -> list[str]:
    fields = {
        "u": family.user, "c": family.client, "o": " ".join(family.scopes), "k": " ".join(family.asked),
        "s": family.session, "i": family.sid, "a": f"{family.auth_time:.0f}", "m": " ".join(family.amr),
        "n": family.nonce or "", "x": family.redirect_uri, "h": family.challenge or "",
        "f": "1" if family.offline else "", "g": str(family.generation), "e": f"{family.created:.0f}",
    }  # fmt: skip
    return [part for pair in fields.items() if pair[1] for part in pair]


def parse_family(name: str, fields: Fields) -> Family | None:
    """The family of a hash's name and fields; None if the hash is no family."""

    def text(field: bytes) -> str:
        return fields.get(field, b"").decode()

    try:
        return Family(
            id=name.removeprefix(keys.oauth_family("")), user=text(b"u"), client=text(b"c"),
            scopes=tuple(text(b"o").split()), asked=tuple(text(b"k").split()), session=text(b"s"), sid=text(b"i"),
            auth_time=float(fields[b"a"]), amr=tuple(text(b"m").split()), nonce=text(b"n") or None,
            redirect_uri=text(b"x"), challenge=text(b"h") or None, offline=b"f" in fields,
            generation=int(fields[b"g"]), not_before=float(fields.get(b"b", 0)), created=float(fields[b"e"]),
        )  # fmt: skip
    except (KeyError, ValueError):
        return None


def _grant(client_id: str, value: bytes) -> Grant:
    fields = orjson.loads(value)
    return Grant(client_id, tuple(fields["scopes"]), fields["first"], fields["last"])


def _parse_client(_: str, fields: Fields) -> Client | None:
    if b"client" not in fields:
        return None
    table: Any = orjson.loads(fields[b"client"])
    given: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in table.items()}
    return Client(**given)
