"""Handoffs, codes, sessions at hosts and counts of decisions, in Redis."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress

from app.accounts.secret import digest
from app.gateway.models import CODE_LIFETIME, HANDOFF_LIFETIME, Handoff, HostSession, TakenCode
from app.store import hashes
from app.store.client import Store, StoreUnavailable
from app.store.keys import gateway as keys
from app.store.scripts import Script
from app.store.tracking import Pin, TrackedHashes, Tracking

USED_CODE_LIFETIME = 600
"""Seconds for which a replay of a used code is recognised."""
# The ticket tells a retry after a lost reply from a replay.
TAKE = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
redis.call('HSETNX', KEYS[1], 'ticket', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return redis.call('HGETALL', KEYS[1])
""")


class GatewayStore:
    """Ids, codes and cookies are random and stored as their hash. Raises StoreUnavailable."""

    def __init__(self, store: Store, tracking: Tracking, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._sessions = TrackedHashes(tracking, HostSession.from_hash)

    async def begin(self, handoff: Handoff) -> str:
        """Stores a handoff. Returns its id."""
        handoff_id = secrets.token_urlsafe(24)
        await hashes.create(self._store, keys.gateway_handoff(digest(handoff_id)), HANDOFF_LIFETIME, *handoff.to_hash())
        return handoff_id

    async def handoff(self, handoff_id: str) -> Handoff | None:
        """The handoff of an id; None if there is none, or it is too old."""
        fields = await self._store.idempotent("HGETALL", keys.gateway_handoff(digest(handoff_id)))
        handoff = Handoff.from_hash(fields) if fields else None
        return None if handoff is None or self._clock() - handoff.created > HANDOFF_LIFETIME else handoff

    async def issue(self, handoff: Handoff, state: str, user: str, session: str) -> str:
        """Stores the response to a handoff. Returns its code, for single use."""
        code = secrets.token_urlsafe(24)
        fields = (*handoff.to_hash(), "state", state, "user", user, "session", session, "issued", repr(self._clock()))
        await hashes.create(self._store, keys.gateway_code(digest(code)), CODE_LIFETIME, *fields)
        return code

    async def take(self, code: str) -> TakenCode | None:
        """Uses up a code; None if it is unknown or too old."""
        ticket = secrets.token_urlsafe(12)
        flat = await TAKE.run(self._store, [keys.gateway_code(digest(code))], ticket, USED_CODE_LIFETIME)
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        if not fields:
            return None
        return TakenCode(
            handoff=Handoff.from_hash(fields),
            state=fields[b"state"].decode(),
            user=fields[b"user"].decode(),
            session=fields[b"session"].decode(),
            issued=float(fields[b"issued"]),
            first=fields[b"ticket"] == ticket.encode(),
        )

    async def create_session(self, session: HostSession, seconds: int) -> str:
        """Stores a host session. Returns its secret."""
        secret = secrets.token_urlsafe(24)
        fields = ("user", session.user, "parent", session.parent, "host", session.host)
        await hashes.create(self._store, keys.gateway_session(digest(secret)), seconds, *fields)
        return secret

    async def session(self, key: str) -> HostSession | None:
        return await self._sessions.read(keys.gateway_session(key))

    def cached_session(self, key: str) -> HostSession | None:
        return self._sessions.cached(keys.gateway_session(key))

    def pin(self, key: str) -> Pin | None:
        """Shows whether a cached session of a host is still the present one."""
        return self._sessions.pin(keys.gateway_session(key))

    async def end_session(self, key: str) -> None:
        name = keys.gateway_session(key)
        await self._store.idempotent("DEL", name)
        self._sessions.forget(name)

    async def answers(self) -> dict[str, int]:
        """The counts of decisions since each rule exists, by `<rule>:<effect>`."""
        found: Mapping[bytes, bytes] = await self._store.idempotent("HGETALL", keys.GATEWAY_ANSWERS)
        return {name.decode(): int(count) for name, count in found.items()}

    async def add_answers(self, counts: Counter[str]) -> None:
        """Adds counts; those that certainly did not reach Redis stay in `counts`."""
        for name, count in [*counts.items()]:
            del counts[name]
            try:
                await self._store.once("HINCRBY", keys.GATEWAY_ANSWERS, name, count)
            except StoreUnavailable as error:
                if not error.sent:
                    counts[name] += count
                return


async def write_counts(store: GatewayStore, counts: Counter[str], interval: float) -> None:
    """Writes the counts of decisions to Redis every `interval` seconds."""
    while True:
        await asyncio.sleep(interval)
        with suppress(StoreUnavailable):
            await store.add_answers(counts)
