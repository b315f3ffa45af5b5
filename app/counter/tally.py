"""The exact counter: counts every visit once, and gives every visit its own number.

All hits of a tick become one batch, which is applied exactly once (exactly_once.py). A batch of n hits that brings a
counter to T gives them the numbers T-n+1 to T.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app.counter.exactly_once import ExactSender
from app.counter.store import CounterStore

BATCH = 500
"""Counters that one batch changes at most: a script blocks Redis while it runs."""

EVICTION = (
    "Redis has maxmemory-policy {policy}: when its memory is full it deletes counters, sessions and users silently. "
    "Set maxmemory-policy noeviction."
)


@dataclass(slots=True)
class Hits:
    """Additions by counter, and the visitors who wait for numbers: the queue, and the batch on its way."""

    added: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, list[asyncio.Future[int | None]]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.added)

    @property
    def hits(self) -> int:
        return sum(self.added.values())

    def take(self) -> "Hits":
        """Splits off a batch of up to BATCH counters."""
        if len(self.added) <= BATCH:
            taken = Hits(self.added, self.waiting)
            self.added, self.waiting = {}, {}
            return taken
        names = list(self.added)[:BATCH]
        return Hits(
            {name: self.added.pop(name) for name in names},
            {name: self.waiting.pop(name) for name in names if name in self.waiting},
        )

    def arguments(self) -> list[str | int | bytes]:
        return [part for pair in self.added.items() for part in pair]

    def resolve(self, reply: Sequence[int]) -> None:
        """Resolves each waiting request with its number."""
        for name, total in zip(self.added, reply, strict=True):
            futures = self.waiting.get(name, ())
            for number, future in enumerate(futures, total - len(futures) + 1):
                if not future.done():
                    future.set_result(number)

    def fail(self) -> None:
        for futures in self.waiting.values():
            for future in futures:
                if not future.done():
                    future.set_result(None)
        self.waiting.clear()


class Tally(ExactSender[Sequence[int]]):
    """The counters as one worker adds to them."""

    def __init__(self, store: CounterStore, *, max_queued: int, changed: Callable[[], None]) -> None:
        self._pending = Hits()
        super().__init__(store, self._pending, changed=changed, evicting=self._warn_of_eviction)
        self._counters = store
        self._max_queued = max_queued
        self.dropped = 0

    def hit(self, name: str) -> asyncio.Future[int | None]:
        """Counts a hit. The future resolves to its number, or to None after REPLY_TIMEOUT."""
        future: asyncio.Future[int | None] = self._loop.create_future()
        if self.waiting >= self._max_queued:
            self.dropped += 1
            future.set_result(None)
            return future
        pending = self._pending
        pending.added[name] = pending.added.get(name, 0) + 1
        if self.away:
            future.set_result(None)
        elif name in pending.waiting:
            pending.waiting[name].append(future)
        else:
            pending.waiting[name] = [future]
        self.added()
        return future

    def eviction_warning(self) -> str | None:
        """A warning about the server's maxmemory-policy; None where it evicts nothing."""
        policy = self.durability.info.evicts
        return EVICTION.format(policy=policy) if policy else None

    def _warn_of_eviction(self, policy: str) -> None:
        self._log.warning(EVICTION.format(policy=policy))

    async def totals(self, *names: str) -> list[int]:
        """The totals, without counting. Raises StoreUnavailable."""
        return await self._counters.totals(names)
