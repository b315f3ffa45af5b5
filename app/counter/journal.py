"""The journal: batches that Redis acknowledged but could still lose, kept in memory and sent again after a loss."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

MIN_KEEP_SECONDS = 3.0
"""Seconds for which a batch is kept at least, whatever the barrier reports.

With `appendfsync everysec` a server syncs what it wrote within 1 s, but its WAITAOF may answer before that: an idle
moment between two syncs marks everything as synced (aof.c, flushAppendOnlyFile, seen in Redis 7.2 and Valkey 9).
"""
MAX_JOURNAL_BATCHES = 400_000
"""Parts of batches (a name and a number are two; so are 200 bytes) kept at most, about 40 MB; the oldest go first."""


@dataclass(slots=True)
class JournalEntry:
    sequence: int
    arguments: Sequence[str | int | bytes]
    acknowledged: float

    @property
    def parts(self) -> int:
        return sum(len(part) // 100 + 1 if isinstance(part, bytes) else 1 for part in self.arguments)


class Journal:
    def __init__(self, limit: int = MAX_JOURNAL_BATCHES) -> None:
        self._entries: deque[JournalEntry] = deque()
        self._limit = limit
        self._parts = 0

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, sequence: int, arguments: Sequence[str | int | bytes], now: float) -> None:
        entry = JournalEntry(sequence, arguments, now)
        self._entries.append(entry)
        self._parts += entry.parts
        while self._parts > self._limit:
            self._drop_first()

    def after(self, sequence: int) -> list[JournalEntry]:
        return [entry for entry in self._entries if entry.sequence > sequence]

    def begin_anew(self, entries: Sequence[JournalEntry]) -> None:
        """Renumbers the entries as the first ones of a new worker; drops the others."""
        for number, entry in enumerate(entries, 1):
            entry.sequence = number
        self._entries = deque(entries)
        self._parts = sum(entry.parts for entry in entries)

    def forget(self, last: int, now: float) -> None:
        """Drops the batches that are durable and older than MIN_KEEP_SECONDS."""
        entries = self._entries
        while entries and entries[0].sequence <= last and entries[0].acknowledged <= now - MIN_KEEP_SECONDS:
            self._drop_first()

    def _drop_first(self) -> None:
        self._parts -= self._entries.popleft().parts
