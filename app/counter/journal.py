"""What Redis has acknowledged and could still lose: kept in memory until it cannot, sent again if it did."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from app.counter.store import Barriers, CounterStore
from app.store.client import ResponseError, StoreAway

TICK = 0.25
"""Seconds between two looks at what the server has."""
SETTLED = 3.0
"""Seconds for which a batch is kept whatever the barrier says.

With `appendfsync everysec` a server syncs what it wrote within 1 s, but its WAITAOF may answer before that: an idle
moment between two syncs marks everything as synced (aof.c, flushAppendOnlyFile, seen in Redis 7.2 and Valkey 9).
"""
REPLICA_MEMORY = 60.0
"""Seconds for which a replica that has gone is still waited for: it may be about to become the primary."""
LOOK = 5.0
"""Seconds between two looks at what the server can promise."""
MOST = 200_000
"""Batches kept at most, about 40 MB; the oldest go first."""


@dataclass(frozen=True, slots=True)
class Entry:
    sequence: int
    increments: Sequence[str | int]
    acknowledged: float


class Journal:
    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=MOST)
        self._barriers = Barriers(file=True, replicas=False)
        self._looked = -LOOK
        self._replica_seen = -REPLICA_MEMORY

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, sequence: int, increments: Sequence[str | int], now: float) -> None:
        self._entries.append(Entry(sequence, increments, now))

    def after(self, sequence: int) -> list[Entry]:
        return [entry for entry in self._entries if entry.sequence > sequence]

    def renumber(self, entries: list[Entry]) -> list[Entry]:
        """The entries as the first ones of a new worker; the others are forgotten."""
        renumbered = [Entry(n, entry.increments, entry.acknowledged) for n, entry in enumerate(entries, 1)]
        self._entries = deque(renumbered, maxlen=MOST)
        return renumbered

    def forget(self, last: int, now: float) -> None:
        """Drops what the server has and has had time to write down."""
        entries = self._entries
        while entries and entries[0].sequence <= last and entries[0].acknowledged <= now - SETTLED:
            entries.popleft()

    async def barriers(self, store: CounterStore) -> Barriers:
        """What the server can promise, looked up every few seconds; replicas are believed for a minute."""
        now = time.monotonic()
        if now - self._looked >= LOOK:
            found = await store.barriers()
            if found.replicas:
                self._replica_seen = now
            self._barriers = Barriers(found.file, replicas=now - self._replica_seen < REPLICA_MEMORY)
            self._looked = now
        return self._barriers

    async def confirm_all(self, confirm: Callable[[], Awaitable[None]]) -> None:
        """Confirms at every tick, until cancelled; while Redis is away there is nothing to confirm."""
        while True:
            await asyncio.sleep(TICK)
            try:
                await confirm()
            except (StoreAway, ResponseError):
                continue
