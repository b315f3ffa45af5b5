"""Families of tokens, grants and waiting requests in Redis. Coroutines raise StoreUnavailable."""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Literal

import orjson

from app.accounts.secret import digest
from app.oauth_server.models import AuthorizationRequest, Family, Grant
from app.oauth_server.parameters import Parameters
from app.store.client import Store
from app.store.hashes import CREATE, set_if_exists
from app.store.keys import oauth_server as keys
from app.store.records import from_stored
from app.store.scripts import Call, Script, run_together
from app.store.tracking import Fields, Pin, TrackedHashes, Tracking

DAY = 86_400
CODE_LIFETIME = 60
REFRESH_LIFETIME = 30 * DAY
"""Seconds without a refresh until a family expires."""
REFRESH_GRACE = 10
"""Seconds in which the former refresh token still returns the current one: a response may be lost."""
REQUEST_LIFETIME = 900
CLAIM_LIFETIME = 3
"""Seconds for which a second click does not answer a request again. Short: a worker may die before it has answered."""
GRANT_USE_INTERVAL = 60
"""Seconds between two writes of a grant's last use: a write invalidates every worker's cache."""
MAX_NEW_FAMILIES = 1000
# A retry of the same attempt after a lost reply is no replay. A code that is used twice revokes its tokens.
REDEEM = Script("""
local family, attempt, lifetime = KEYS[1], ARGV[1], ARGV[2]
local generation = redis.call('HGET', family, 'g')
if not generation then return 'unknown' end
if generation ~= '0' then
  if redis.call('HGET', family, 'q') == attempt then return 'ok' end
  if ARGV[3] == 'end' then redis.call('DEL', family) end
  return 'replayed'
end
redis.call('HSET', family, 'g', 1, 'q', attempt)
redis.call('HDEL', family, 'n', 'x', 'h')
redis.call('EXPIRE', family, lifetime)
return 'ok'
""")
# The signature of the token is verified. A higher generation was issued before Redis lost its last writes.
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
INDEX = Script("""
local index, family, now, lifetime = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
redis.call('ZADD', index, now, family)
redis.call('ZREMRANGEBYSCORE', index, '-inf', now - lifetime - 1)
redis.call('EXPIRE', index, 2 * lifetime)
""")


class OAuthStore:
    def __init__(self, store: Store, tracking: Tracking, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._families = TrackedHashes(tracking, parse_family)
        self._grants = TrackedHashes(tracking, _parse_grants)
        self._new: dict[str, Family] = {}
        self._salt = ""

    def pin_family(self, family_id: str) -> Pin | None:
        """What shows that a cached family changes."""
        return self._families.pin(keys.family(family_id))

    async def family(self, family_id: str) -> Family | None:
        return await self._families.read(keys.family(family_id))

    async def family_of_code(self, family_id: str) -> Family | None:
        """As `family`, without asking Redis if this worker began it: `redeem` decides whether its code is good."""
        return self._new.get(family_id) or await self.family(family_id)

    async def begin(self, family: Family, lifetime: int = CODE_LIFETIME) -> None:
        """Stores a family whose code may be redeemed for `lifetime` seconds."""
        name, index = keys.family(family.id), keys.families(family.user)
        await run_together(
            self._store,
            Call(INDEX, [index], [family.id, int(family.created), REFRESH_LIFETIME]),
            Call(CREATE, [name], [lifetime, *_family_fields(family)]),
        )
        if len(self._new) >= MAX_NEW_FAMILIES:
            del self._new[next(iter(self._new))]
        self._new[family.id] = family

    async def redeem(self, family: Family, *, replayed: Literal["end", "keep"] = "end") -> bool:
        """Redeems the code. `replayed` is the effect of a second use on the family."""
        name = keys.family(family.id)
        self._new.pop(family.id, None)
        outcome = await REDEEM.run(self._store, [name], secrets.token_hex(8), REFRESH_LIFETIME, replayed)
        self._families.forget(name)
        return bool(outcome == b"ok")

    async def rotate(self, family: Family, presented: int) -> int:
        """The generation of the next refresh token; 0 if this one was used before, which revokes the family."""
        name = keys.family(family.id)
        now = f"{self._clock():.0f}"
        rotated, _ = await run_together(
            self._store,
            Call(ROTATE, [name], [presented, now, REFRESH_GRACE, REFRESH_LIFETIME]),
            Call(INDEX, [keys.families(family.user)], [family.id, now, REFRESH_LIFETIME]),
        )
        self._families.forget(name)
        return int(rotated)

    async def end(self, family: Family) -> None:
        """Revokes all tokens of a family."""
        await self._store.idempotent("DEL", keys.family(family.id))
        self._families.forget(keys.family(family.id))
        await self._store.idempotent("ZREM", keys.families(family.user), family.id)

    async def revoke_access(self, family: Family) -> None:
        """Revokes the access tokens that were issued until now."""
        await set_if_exists(self._store, keys.family(family.id), "b", int(self._clock()))
        self._families.forget(keys.family(family.id))

    async def families_of(self, user_id: str) -> list[Family]:
        ids = await self._store.idempotent("ZRANGE", keys.families(user_id), 0, -1)
        found = await asyncio.gather(*(self.family(each.decode()) for each in ids))
        gone = [each for each, family in zip(ids, found, strict=True) if family is None]
        if gone:
            await self._store.idempotent("ZREM", keys.families(user_id), *gone)
        return [family for family in found if family is not None]

    async def grants(self, user_id: str) -> Mapping[str, Grant]:
        return await self._grants.read(keys.grants(user_id)) or {}

    async def grant(self, user_id: str, client_id: str) -> Grant | None:
        return (await self.grants(user_id)).get(client_id)

    async def use_grant(self, user_id: str, client_id: str, scopes: tuple[str, ...], former: Grant | None) -> None:
        """Adds the scopes to the grant, and notes its use, to the minute."""
        now = self._clock()
        if former is not None:
            scopes = tuple(dict.fromkeys((*former.scopes, *scopes)))
            if scopes == former.scopes and now - former.last < GRANT_USE_INTERVAL:
                return
        grant = Grant(client_id, scopes, now if former is None else former.first, now)
        value = orjson.dumps({"scopes": grant.scopes, "first": grant.first, "last": grant.last})
        await asyncio.gather(
            self._store.idempotent("HSET", keys.grants(user_id), grant.client, value),
            self._store.idempotent("ZADD", keys.users(grant.client), int(grant.last), user_id),
        )
        self._grants.forget(keys.grants(user_id))

    async def users_of(self, client_id: str, limit: int) -> tuple[list[tuple[str, float]], int]:
        """(users with a grant and when they last signed in, the latest first; how many there are)."""
        name = keys.users(client_id)
        found, total = await asyncio.gather(
            self._store.idempotent("ZRANGE", name, 0, limit - 1, "REV", "WITHSCORES"),
            self._store.idempotent("ZCARD", name),
        )
        return [(user.decode(), float(last)) for user, last in _pairs(found)], total

    async def withdraw(self, user_id: str, client_id: str) -> bool:
        """Deletes a grant and revokes its families. Returns whether there was one."""
        removed = await self._store.idempotent("HDEL", keys.grants(user_id), client_id)
        self._grants.forget(keys.grants(user_id))
        await self._store.idempotent("ZREM", keys.users(client_id), user_id)
        ended = [family for family in await self.families_of(user_id) if family.client == client_id]
        await asyncio.gather(*map(self.end, ended))
        return bool(removed or ended)

    async def keep_request(self, request: AuthorizationRequest) -> str:
        """Stores the request. Returns its id."""
        request_id = secrets.token_urlsafe(24)
        await self.update_request(request_id, request)
        return request_id

    async def update_request(self, request_id: str, request: AuthorizationRequest) -> None:
        name = keys.request(digest(request_id))
        await self._store.idempotent("SET", name, orjson.dumps(asdict(request)), "EX", REQUEST_LIFETIME)

    async def request(self, request_id: str) -> AuthorizationRequest | None:
        value = await self._store.idempotent("GET", keys.request(digest(request_id)))
        if value is None:
            return None
        fields = orjson.loads(value)
        fields |= {name: tuple(fields[name]) for name in ("scopes", "asked", "prompt")}
        return from_stored(AuthorizationRequest, fields)

    async def claim_request(self, request_id: str) -> bool:
        """Whether nobody else answers the request at present."""
        return bool(await self._store.once("SET", keys.claim(digest(request_id)), b"", "NX", "EX", CLAIM_LIFETIME))

    async def release_request(self, request_id: str) -> None:
        """Lets the browser ask again, after an answer that failed."""
        await self._store.idempotent("DEL", keys.claim(digest(request_id)))

    async def take_request(self, request_id: str) -> bool:
        """Deletes the request. Returns whether it was still stored: it is used once."""
        return bool(await self._store.once("DEL", keys.request(digest(request_id))))

    async def push(self, parameters: Parameters, lifetime: int) -> str:
        """Stores pushed parameters. Returns their secret."""
        secret = secrets.token_urlsafe(24)
        name = keys.pushed(digest(secret))
        await self._store.idempotent("SET", name, orjson.dumps(dict(parameters)), "EX", lifetime)
        return secret

    async def pushed(self, secret: str) -> dict[str, str] | None:
        value = await self._store.idempotent("GET", keys.pushed(digest(secret)))
        return None if value is None else dict(orjson.loads(value))

    async def take_pushed(self, secret: str) -> bool:
        """Deletes pushed parameters. Returns whether they were still stored."""
        return bool(await self._store.once("DEL", keys.pushed(digest(secret))))

    async def salt(self) -> str:
        """The salt of pairwise subjects; created once."""
        if not self._salt:
            await self._store.idempotent("SET", keys.SALT, secrets.token_hex(16), "NX")
            self._salt = (await self._store.idempotent("GET", keys.SALT)).decode()
        return self._salt


def _family_fields(family: Family) -> list[str]:
    fields = {
        "u": family.user, "c": family.client, "o": " ".join(family.scopes), "k": " ".join(family.asked),
        "s": family.session, "i": family.sid, "a": str(int(family.auth_time)), "m": " ".join(family.amr),
        "n": family.nonce or "", "x": family.redirect_uri, "h": family.challenge or "",
        "f": "1" if family.offline else "", "g": str(family.generation), "e": str(int(family.created)),
    }  # fmt: skip
    return [part for pair in fields.items() if pair[1] for part in pair]


def parse_family(family_id: str, fields: Fields) -> Family:

    def text(field: bytes) -> str:
        return fields.get(field, b"").decode()

    return Family(
        id=family_id, user=text(b"u"), client=text(b"c"),
        scopes=tuple(text(b"o").split()), asked=tuple(text(b"k").split()), session=text(b"s"), sid=text(b"i"),
        auth_time=float(fields[b"a"]), amr=tuple(text(b"m").split()), nonce=text(b"n") or None,
        redirect_uri=text(b"x"), challenge=text(b"h") or None, offline=b"f" in fields,
        generation=int(fields[b"g"]), not_before=float(fields.get(b"b", 0)), created=float(fields[b"e"]),
    )  # fmt: skip


def _pairs(reply: list[Any]) -> list[tuple[bytes, bytes]]:
    """Members and scores, which RESP3 has in pairs, and RESP2 in one list."""
    if reply and isinstance(reply[0], list):
        return [(member, score) for member, score in reply]
    return list(zip(reply[::2], reply[1::2], strict=True))


def _parse_grants(_: str, fields: Fields) -> dict[str, Grant]:
    parsed = ((client.decode(), orjson.loads(value)) for client, value in fields.items())
    return {client: Grant(client, tuple(each["scopes"]), each["first"], each["last"]) for client, each in parsed}
