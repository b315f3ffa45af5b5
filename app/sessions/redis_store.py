"""Sessions in Redis. Each worker caches them; client-side tracking invalidates the cache."""

import asyncio
import base64
import hashlib
import math
import secrets
import time
from collections.abc import Callable, Sequence

from itsdangerous import BadSignature

from app.sessions.session import Changes, Session, SessionPage, SessionStore
from app.sessions.signing import StrictSigner, signing_keys
from app.sessions.timeouts import Timeouts
from app.settings import Settings
from app.store import keys
from app.store.client import Store
from app.store.scripts import Script
from app.store.tracking import Fields, Pin, TrackedHashes, Tracking

ID_BYTES = 24
KEY_LENGTH = 43
"""Characters of a SHA-256 in base64."""
MAX_SESSIONS_PER_USER = 1000
"""Beyond it a new session ends the user's oldest: some programs sign in for each run and never sign out."""
BATCH_SIZE = 50
"""Sessions that are read in one go."""
YEAR = 365 * 86_400
# Both scripts write only if the session exists: a late write must not bring back an ended session.
TOUCH = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 then return end
redis.call('HSET', KEYS[1], 's', ARGV[1])
redis.call('PEXPIREAT', KEYS[1], ARGV[2])
""")
SAVE = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 then return end
for i = 1, #ARGV, 2 do
  local field, value = ARGV[i], ARGV[i + 1]
  if value == '' then redis.call('HDEL', KEYS[1], field) else redis.call('HSET', KEYS[1], field, value) end
end
""")
CREATE = Script("""
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIREAT', KEYS[1], ARGV[1])
""")
DATA = "x:"
"""Prefix of the hash fields that hold the session's data."""


class RedisSessions(SessionStore):
    """Sessions in Redis, each a small hash. Every worker refuses an ended session within milliseconds."""

    revocable = True

    def __init__(
        self, store: Store, tracking: Tracking, settings: Settings, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._cache = TrackedHashes(tracking, parse_session)
        self._current = TrackedHashes(tracking, _parse_current)
        self._timeouts = Timeouts(settings)
        self._lifetime = settings.session_absolute_timeout
        self._clock = clock
        self._signer = StrictSigner(signing_keys(settings), "tallygate.session", digest_method=hashlib.sha256)

    async def load(self, cookie: str) -> Session | None:
        key = self._key(cookie)
        return await self.by_key(key) if key else None

    def cached(self, key: str) -> Session | None:
        return self._alive(self._cache.cached(keys.session(key)))

    async def by_key(self, key: str) -> Session | None:
        return self._alive(await self._cache.read(keys.session(key))) if len(key) == KEY_LENGTH else None

    def pin(self, session: Session) -> tuple[Pin | None, float]:
        return self._cache.pin(keys.session(session.key)), self._timeouts.expiry(session)

    def cached_by_root(self, root: str) -> Session | None:
        return self.cached(root) or self.cached(self._current.cached(keys.session_current(root)) or "")

    async def by_root(self, root: str) -> Session | None:
        first = await self.by_key(root)
        if first is not None or len(root) != KEY_LENGTH:
            return first
        return await self.by_key(await self._current.read(keys.session_current(root)) or "")

    async def create(self, session: Session) -> str:
        secret = secrets.token_urlsafe(ID_BYTES)
        session.key = _digest(secret)
        session.root = session.root or session.key
        name, index = keys.session(session.key), keys.sessions_of(session.user)
        fields = {
            "u": session.user,
            "c": f"{session.created:.3f}",
            "s": f"{session.seen:.0f}",
            "h": session.auth_method,
            "d": session.device,
            "a": session.address,
            "r": f"{session.recheck_at:.0f}" if session.recheck_at < math.inf else "",
            "t": f"{session.auth_time:.3f}" if session.auth_time else "",
            "m": " ".join(session.amr),
            "g": "\n".join(session.groups),
            "b": "1" if session.brief else "",
            "o": session.root if session.root != session.key else "",
        }
        flat = [part for pair in fields.items() if pair[1] for part in pair]
        # Into the user's index first: a session that is not in there could not be ended with the others.
        await self._store.idempotent("ZADD", index, int(session.created), session.key)
        _, _, _, surplus = await asyncio.gather(
            CREATE.run(self._store, [name], self._expiry(session), *flat),
            self._store.idempotent("ZREMRANGEBYSCORE", index, "-inf", int(session.created - self._lifetime) - 1),
            # Longer than its sessions: the operator may raise the absolute timeout meanwhile.
            self._store.idempotent("EXPIREAT", index, int(session.created) + self._lifetime + YEAR),
            self._store.idempotent("ZRANGE", index, 0, -MAX_SESSIONS_PER_USER - 1),
        )
        if session.root != session.key:
            await self._point(session)
        for key in surplus:
            await self._end(key.decode(), session.user)
        return self._signer.sign(secret).decode()

    async def _point(self, session: Session) -> None:
        """Points the root to this session, until the absolute timeout."""
        name = keys.session_current(session.root)
        await self._store.idempotent("HSET", name, "k", session.key)
        await self._store.idempotent("EXPIREAT", name, int(session.created) + self._lifetime)
        self._current.forget(name)

    async def save(self, session: Session, changes: Changes) -> str | None:
        name = keys.session(session.key)
        await SAVE.run(self._store, [name], *(part for field in changes.items() for part in _argument(*field)))
        self._cache.forget(name)
        return None

    async def touch(self, session: Session) -> str | None:
        name, expiry = keys.session(session.key), self._expiry(session)
        await asyncio.gather(
            TOUCH.run(self._store, [name], f"{session.seen:.0f}", expiry),
            self._store.idempotent("PEXPIREAT", keys.session_origin(session.root), expiry),
        )
        self._cache.forget(name)
        return None

    async def save_recheck(self, session: Session) -> None:
        name = keys.session(session.key)
        again = f"{session.recheck_at:.0f}" if session.recheck_at < math.inf else ""
        await SAVE.run(self._store, [name], "r", again, "g", "\n".join(session.groups))
        self._cache.forget(name)

    async def end(self, session: Session, *, goes_on: bool = False) -> None:
        origin = () if goes_on else (self._store.idempotent("DEL", keys.session_origin(session.root)),)
        await asyncio.gather(self._end(session.key, session.user), *origin)

    async def _end(self, key: str, user: str) -> None:
        """Removes the session from the index last, so that a valid session is always in there."""
        name = keys.session(key)
        await self._store.idempotent("DEL", name)
        self._cache.forget(name)
        await self._store.idempotent("ZREM", keys.sessions_of(user), key)

    async def of_user(self, user: str) -> list[Session]:
        """Reads in parts, so that other requests run in between."""
        members = await self._store.idempotent("ZRANGE", keys.sessions_of(user), 0, -1)
        parts = (members[start : start + BATCH_SIZE] for start in range(0, len(members), BATCH_SIZE))
        return [session for part in parts for session in await self._read(part)]

    async def page_of_user(self, user: str, offset: int, limit: int) -> SessionPage:
        index = keys.sessions_of(user)
        members, total = await asyncio.gather(
            self._store.idempotent("ZRANGE", index, offset, offset + limit - 1, "REV"),
            self._store.idempotent("ZCARD", index),
        )
        return SessionPage(await self._read(members), total)

    async def _read(self, members: Sequence[bytes]) -> list[Session]:
        """The valid sessions of these members of an index."""
        known = [member.decode() for member in members]
        replies = await asyncio.gather(*(self._store.idempotent("HGETALL", keys.session(key)) for key in known))
        found = [self._alive(parse_session(key, reply)) for key, reply in zip(known, replies, strict=True) if reply]
        return [session for session in found if session is not None]

    def _key(self, cookie: str) -> str | None:
        try:
            return _digest(self._signer.unsign(cookie).decode())
        except BadSignature:
            return None

    def _alive(self, session: Session | None) -> Session | None:
        return session if session is not None and self._clock() < self._timeouts.expiry(session) else None

    def _expiry(self, session: Session) -> int:
        """Unix milliseconds."""
        return int(self._timeouts.expiry(session) * 1000)


def parse_session(key: str, fields: Fields) -> Session | None:
    """A session from its key and its hash; None if the hash is no session."""
    try:
        return Session(
            key=key,
            user=fields[b"u"].decode(),
            created=float(fields[b"c"]),
            seen=float(fields[b"s"]),
            auth_method=fields.get(b"h", b"").decode(),
            device=fields.get(b"d", b"").decode(),
            address=fields.get(b"a", b"").decode(),
            recheck_at=float(fields.get(b"r", math.inf)),
            auth_time=float(fields.get(b"t", 0)),
            amr=tuple(fields.get(b"m", b"").decode().split()),
            groups=tuple(filter(None, fields.get(b"g", b"").decode().split("\n"))),
            brief=b"b" in fields,
            root=fields.get(b"o", b"").decode() or key,
            stored={k.decode().removeprefix(DATA): v.decode() for k, v in fields.items() if k.startswith(b"x:")},
        )
    except (KeyError, ValueError):
        return None


def _parse_current(_: str, fields: Fields) -> str | None:
    return fields.get(b"k", b"").decode() or None


def _argument(name: str, text: str | None) -> tuple[str, str]:
    """For SAVE: a field and its new value. An empty value removes the field: no JSON is empty."""
    return DATA + name, text or ""


def _digest(secret: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest()).decode().rstrip("=")
