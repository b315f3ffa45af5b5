"""The audit log: a capped stream in Redis."""

import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import StrEnum, auto

from app.audit.events import event_of
from app.events.event import new_record
from app.events.stream import RAISE
from app.store import keys
from app.store.client import Store
from app.store.scripts import Script

AUDIT_MAX_ENTRIES = 10_000
"""Redis keeps up to a hundred more: it drops entries in blocks."""
RECENT_ENTRIES = 20
"""Of a user, on the page of that user."""
MAX_DETAIL_LENGTH = 200
CHUNK = 500
"""Entries that are read at once."""
CURSOR = re.compile(r"(?!0+-0+$)[0-9]{1,19}-[0-9]{1,19}")
"""An entry's id. 0-0 is excluded: Redis reports an error for a range that ends before it."""
RECORD = Script(
    RAISE
    + """
local most, record = unpack(ARGV, 1, 2)
redis.call('XADD', KEYS[1], 'MAXLEN', '~', most, '*', unpack(ARGV, 3))
if record ~= '' then raise_event(KEYS[2], record) end
"""
)


class Event(StrEnum):
    """The audited events. Stored entries hold the values, so these do not change."""

    SIGN_IN = auto()
    SIGN_IN_FAILED = auto()
    SIGN_IN_LIMITED = auto()
    SIGN_OUT = auto()
    SESSION_ENDED = auto()
    PASSWORD_CHANGED = auto()
    RENAMED = auto()
    ROLE_CHANGED = auto()
    DISABLED = auto()
    ENABLED = auto()
    USER_CREATED = auto()
    INVITED = auto()
    INVITATION_WITHDRAWN = auto()
    TOKEN_CREATED = auto()
    TOKEN_REVOKED = auto()
    IDENTITY_LINKED = auto()
    IDENTITY_UNLINKED = auto()
    GROUPS_CHANGED = auto()
    GROUP_CREATED = auto()
    GROUP_REMOVED = auto()
    EMAIL_CHANGED = auto()
    PROFILE_CHANGED = auto()
    CONFIRMED = auto()
    RESET_LINK_CREATED = auto()
    PASSWORD_RESET = auto()
    FACTOR_ADDED = auto()
    FACTOR_REMOVED = auto()
    RECOVERY_CODE_USED = auto()
    USER_REMOVED = auto()
    DATA_EXPORTED = auto()
    EMAIL_VERIFIED = auto()
    SERVICE_CREATED = auto()
    SERVICE_CHANGED = auto()
    SERVICE_REMOVED = auto()
    CLIENT_CREATED = auto()
    CLIENT_CHANGED = auto()
    CLIENT_SECRET_CREATED = auto()
    CLIENT_REMOVED = auto()
    REGISTRATION_TOKEN_CREATED = auto()
    CONSENT_GIVEN = auto()
    CONSENT_WITHDRAWN = auto()
    SITE_CODE_REPLAYED = auto()
    LEGACY_SIGN_IN = "moved_over"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """`user` is the id of the user concerned, `actor` of the acting one; empty if unknown.

    `at` is Unix seconds by Redis' clock. `event` is a plain text: another version may have written it.
    """

    id: str
    at: float
    event: str
    user: str
    actor: str
    address: str
    request_id: str
    detail: str


@dataclass(frozen=True, slots=True)
class AuditPage:
    """`before` is the cursor of the next, older page; None on the last one."""

    entries: tuple[AuditEntry, ...]
    before: str | None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """`user` is an id, of the user concerned or the acting one; `since` and `until` are Unix seconds."""

    user: str = ""
    event: str = ""
    since: float | None = None
    until: float | None = None

    @property
    def newest(self) -> str:
        return "+" if self.until is None else str(int(self.until * 1000))

    @property
    def oldest(self) -> str:
        return "-" if self.since is None else str(int(self.since * 1000))

    def matches(self, entry: AuditEntry) -> bool:
        return self.user in ("", entry.user, entry.actor) and self.event in ("", entry.event)


EVERYTHING = AuditFilter()


class Audit:
    """Raises StoreUnavailable when Redis does not answer."""

    def __init__(self, store: Store, *, kept: int = AUDIT_MAX_ENTRIES, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._kept = kept
        self._clock = clock

    async def record(
        self,
        event: Event,
        *,
        user: str = "",
        actor: str = "",
        address: str = "",
        request_id: str = "",
        detail: str = "",
    ) -> None:
        """Writes an entry, and raises its event in the same step. It holds no secret, and no typed username: that may
        be a password.

        After a lost reply the entry is written again: twice is better than never.
        """
        facts = {"user": user, "actor": actor, "address": address, "request_id": request_id, "detail": detail}
        fields = [part for name, value in facts.items() if value for part in (name, _limited(value))]
        raised = event_of(event.value, **facts)
        record = b"" if raised is None else new_record(raised, self._clock).dump()
        touched = [keys.AUDIT, keys.raised("accounts")]
        await RECORD.run(self._store, touched, self._kept, record, "event", event.value, *fields)

    async def page(self, before: str | None = None, limit: int = 50, wanted: AuditFilter = EVERYTHING) -> AuditPage:
        """The newest entries, or those `before` an entry's id; none for an invalid id."""
        found: list[AuditEntry] = []
        async for chunk in self.chunks(wanted, before, size=limit + 1 if wanted == EVERYTHING else CHUNK):
            found += chunk
            if len(found) > limit:
                break
        return AuditPage(tuple(found[:limit]), found[limit - 1].id if len(found) > limit else None)

    async def chunks(
        self, wanted: AuditFilter, before: str | None = None, *, size: int = CHUNK
    ) -> AsyncIterator[list[AuditEntry]]:
        """All matching entries, newest first, as they are read. The log is capped, so this ends."""
        if before is not None and not CURSOR.fullmatch(before):
            return
        newest, oldest = wanted.newest, wanted.oldest
        if before is not None and (newest == "+" or _milliseconds(before) <= int(newest)):
            newest = f"({before}"
        while True:
            found = await self._store.idempotent("XREVRANGE", keys.AUDIT, newest, oldest, "COUNT", size)
            entries = [_entry(entry_id.decode(), fields) for entry_id, fields in found]
            yield [entry for entry in entries if wanted.matches(entry)]
            if len(found) < size:
                return
            newest = f"({entries[-1].id}"

    async def recent_of(self, user_id: str) -> list[AuditEntry]:
        """The newest entries that concern the user, or whose actor the user is."""
        return list((await self.page(limit=RECENT_ENTRIES, wanted=AuditFilter(user=user_id))).entries)


def _milliseconds(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])


def _limited(value: str) -> bytes:
    return value[:MAX_DETAIL_LENGTH].encode("utf-8", "replace")


def _entry(entry_id: str, fields: list[bytes]) -> AuditEntry:
    facts = dict(zip(fields[::2], fields[1::2], strict=True))

    def text(name: bytes) -> str:
        return facts.get(name, b"").decode()

    return AuditEntry(
        id=entry_id,
        at=int(entry_id.partition("-")[0]) / 1000,
        event=text(b"event"),
        user=text(b"user"),
        actor=text(b"actor"),
        address=text(b"address"),
        request_id=text(b"request_id"),
        detail=text(b"detail"),
    )
