"""The salts of the hashes of visitors: one a day and time zone, in Redis, deleted when the day ends."""

import asyncio
import os
import time
from contextlib import suppress

from app.sites.site_calendar import TimeSlot
from app.sites.store import SiteStore
from app.store.client import ResponseError, StoreUnavailable

SALT_BYTES = 16
RETRY = 1.0
"""Seconds until a salt is read again after a failure."""
MAX_ZONES = 1000
REWRITE_INTERVAL = 3600.0
"""Seconds between two checks whether the append-only file is due."""


class Salts:
    """While Redis is away a worker uses a salt of its own: a visitor may be counted twice, and is not lost."""

    def __init__(self, store: SiteStore) -> None:
        self._store = store
        self._salts: dict[str, tuple[str, bytes]] = {}
        self._own: dict[str, tuple[str, bytes, float]] = {}

    def cached(self, zone: str, slot: TimeSlot) -> bytes | None:
        known = self._salts.get(zone)
        return known[1] if known is not None and known[0] == slot.day else None

    async def get(self, zone: str, slot: TimeSlot) -> bytes:
        salt = self.cached(zone, slot)
        if salt is not None:
            return salt
        day, own, asked = self._own.get(zone, ("", b"", 0.0))
        if day == slot.day and time.monotonic() - asked < RETRY:
            return own
        fresh = own if day == slot.day else os.urandom(SALT_BYTES)
        try:
            salt = await self._store.salt(zone, slot.day, int(slot.day_ends), fresh)
        except (StoreUnavailable, ResponseError):
            self._own[zone] = (slot.day, fresh, time.monotonic())
            return fresh
        if len(self._salts) >= MAX_ZONES:
            self._salts.clear()
        self._salts[zone] = (slot.day, salt)
        self._own.pop(zone, None)
        return salt

    async def rewrite_files(self) -> None:
        """Rewrites the append-only file once a day, which removes deleted salts from it."""
        while True:
            await asyncio.sleep(REWRITE_INTERVAL)
            if self._salts:
                with suppress(StoreUnavailable, ResponseError):
                    await self._store.rewrite_file()
