"""The two places for sessions: Redis, with a cache that is never old, and the cookie itself."""

import asyncio
import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from typing import Any

from itsdangerous import BadSignature, Signer

from app.settings import Settings
from app.store import keys
from app.store.client import Store
from app.store.scripts import Script
from app.store.tracking import Fields, TrackedHashes
from app.web.flask_format import MAX_AGE, FlaskCookies
from app.web.sessions import Session

ID_BYTES = 24
MOST_VERIFIED = 20_000
"""Cookies whose signature a worker remembers to be good."""
# Writes to a session that lives, and only then: a late write must not bring an ended one back.
UPDATE = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if ARGV[3] then redis.call('PEXPIREAT', KEYS[1], ARGV[3]) end
return 1
""")
CREATE = Script("""
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIREAT', KEYS[1], ARGV[1])
return 1
""")


class RedisSessions:
    """Sessions in Redis, each a small hash; ended ones are refused by every worker within milliseconds."""

    revocable = True

    def __init__(
        self, store: Store, cache: TrackedHashes[Session], settings: Settings, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._cache = cache
        self._idle, self._lifetime = settings.session_idle, settings.session_lifetime
        self._clock = clock
        self._signer = Signer(signing_keys(settings), "tallygate.session", digest_method=hashlib.sha256)
        self._verified: dict[str, str] = {}

    async def load(self, cookie: str) -> Session | None:
        key = self._key(cookie)
        return self._alive(await self._cache.read(keys.session(key))) if key else None

    def remembered(self, cookie: str) -> Session | None:
        """The session when this worker knows it already; None says nothing."""
        key = self._verified.get(cookie)
        return self._alive(self._cache.kept(keys.session(key))) if key else None

    async def create(self, session: Session) -> str:
        secret = secrets.token_urlsafe(ID_BYTES)
        session.key = _digest(secret)
        index, end = keys.sessions_of(session.user), session.created + self._lifetime
        # Into the user's list first: what is not in there could not be ended with the others.
        await self._store.idempotent("ZADD", index, end, session.key)
        await self._store.idempotent("ZREMRANGEBYSCORE", index, "-inf", self._clock())
        await self._store.idempotent("PEXPIREAT", index, int(end * 1000))
        fields = {
            "u": session.user,
            "c": f"{session.created:.3f}",
            "s": f"{session.seen:.0f}",
            "h": session.how,
            "d": session.device,
            "a": session.address,
        }
        flat = [part for pair in fields.items() if pair[1] for part in pair]
        await CREATE.run(self._store, [keys.session(session.key)], self._expiry(session), *flat)
        return self._signer.sign(secret).decode()

    async def save(self, session: Session) -> str | None:
        await UPDATE.run(self._store, [keys.session(session.key)], "x", session.stored)
        return None

    async def touch(self, session: Session) -> str | None:
        name = keys.session(session.key)
        await UPDATE.run(self._store, [name], "s", f"{session.seen:.0f}", self._expiry(session))
        return None

    async def end(self, session: Session) -> None:
        await self._store.idempotent("DEL", keys.session(session.key))
        await self._store.idempotent("ZREM", keys.sessions_of(session.user), session.key)

    async def of_user(self, user: str) -> list[Session]:
        members = await self._store.idempotent("ZRANGE", keys.sessions_of(user), 0, -1)
        names = [keys.session(member.decode()) for member in members]
        replies = await asyncio.gather(*(self._store.idempotent("HGETALL", name) for name in names))
        found = [self._alive(parse_session(name, reply)) for name, reply in zip(names, replies, strict=True) if reply]
        return [session for session in found if session is not None]

    async def first_use(self, digest: str) -> bool:
        return bool(await self._store.once("SET", keys.legacy_used(digest), 1, "NX", "EX", MAX_AGE))

    def _key(self, cookie: str) -> str | None:
        key = self._verified.get(cookie)
        if key is None:
            try:
                key = _digest(self._signer.unsign(cookie).decode())
            except (BadSignature, UnicodeDecodeError):
                return None
            if len(self._verified) >= MOST_VERIFIED:
                self._verified.clear()
            self._verified[cookie] = key
        return key

    def _alive(self, session: Session | None) -> Session | None:
        now = self._clock()
        if session is None or now >= session.seen + self._idle or now >= session.created + self._lifetime:
            return None
        return session

    def _expiry(self, session: Session) -> int:
        """Milliseconds: the idle or the absolute timeout, whichever comes first."""
        return int(min(session.seen + self._idle, session.created + self._lifetime) * 1000)


class CookieSessions:
    """Sessions whole in the cookie, in Flask's format: nothing is stored here, and so nothing can be revoked."""

    revocable = False

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._cookies = FlaskCookies(signing_keys(settings), settings.session_lifetime)
        self._idle, self._lifetime = settings.session_idle, settings.session_lifetime
        self._clock = clock

    async def load(self, cookie: str) -> Session | None:
        data = self._cookies.loads(cookie) or {}
        match data:
            case {"user": str(user), "created": float(created) | int(created), "seen": float(seen) | int(seen)}:
                rest = {name: value for name, value in data.items() if name not in RESERVED}
                session = Session("", user, created, seen, str(data.get("how", "")), _data=rest)
            case _:
                return None
        now = self._clock()
        session.changed()
        return session if now < seen + self._idle and now < created + self._lifetime else None

    def remembered(self, cookie: str) -> Session | None:
        return None

    async def create(self, session: Session) -> str:
        return self._dump(session)

    async def save(self, session: Session) -> str | None:
        return self._dump(session)

    async def touch(self, session: Session) -> str | None:
        return self._dump(session)

    async def end(self, session: Session) -> None:
        return

    async def of_user(self, user: str) -> list[Session]:
        return []

    async def first_use(self, digest: str) -> bool:
        return True

    def _dump(self, session: Session) -> str:
        own: dict[str, Any] = {
            "user": session.user,
            "created": session.created,
            "seen": int(session.seen),
            "how": session.how,
        }
        return self._cookies.dumps(session.data | own)


RESERVED = frozenset({"user", "created", "seen", "how"})


def signing_keys(settings: Settings) -> list[str]:
    """The secret keys as itsdangerous wants them: the current one, which signs, comes last."""
    return [key.get_secret_value() for key in (*settings.old_secret_keys, settings.secret_key)]


def parse_session(name: str, fields: Fields) -> Session | None:
    """A session from its hash's name and fields; None when it is not one."""
    try:
        return Session(
            key=name.removeprefix(keys.session("")),
            user=fields[b"u"].decode(),
            created=float(fields[b"c"]),
            seen=float(fields[b"s"]),
            how=fields.get(b"h", b"").decode(),
            device=fields.get(b"d", b"").decode(),
            address=fields.get(b"a", b"").decode(),
            stored=fields.get(b"x", b"{}").decode(),
        )
    except (KeyError, ValueError):
        return None


def _digest(secret: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest()).decode().rstrip("=")
