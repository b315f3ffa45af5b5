"""Hits of all sites on their way to Redis: one exact sender, or in a cluster one for each bucket."""

import asyncio
import time
from collections.abc import Sequence

from app.counter.exactly_once import MAX_JOURNAL_BATCHES, ExactSender
from app.sites.batch import NumbersFuture, SitesBatch, SlotCounts
from app.sites.models import BUCKETS, Site
from app.sites.site_calendar import TimeSlot
from app.sites.store import Reply, SitesBatchStore
from app.store.client import Store

SPACING = 0.05
"""Seconds for which hits that come one by one wait for company."""
DURABILITY_INTERVAL = 1.0
SHARE = 4
"""One site may fill a quarter of the queue: a flood on it leaves room for the others."""


class SitesQueue:
    """Hits that wait to be sent."""

    def __init__(self) -> None:
        self.batch = SitesBatch()
        self.waiting_of: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self.batch.slots)

    def take(self) -> "SlotsBatch":
        slots = self.batch.take()
        for counts in slots:
            left = self.waiting_of.get(counts.site.id, 0) - counts.count
            if left > 0:
                self.waiting_of[counts.site.id] = left
            else:
                self.waiting_of.pop(counts.site.id, None)
        return SlotsBatch(slots)

    def give_up(self) -> None:
        self.batch.give_up()


class SlotsBatch:
    """Hits on their way."""

    def __init__(self, slots: Sequence[SlotCounts]) -> None:
        self._slots = slots
        self.hits = sum(counts.count for counts in slots)
        now = time.time()
        self._arguments = [part for counts in slots for part in (counts.head(), counts.report(now))]

    def arguments(self) -> Sequence[str | bytes]:
        return self._arguments

    def tell(self, reply: Reply) -> None:
        for counts, numbers in zip(self._slots, reply, strict=True):
            if numbers is None:
                counts.give_up()
            else:
                counts.tell(numbers)

    def give_up(self) -> None:
        for counts in self._slots:
            counts.give_up()


class HitSenders:
    """Counts hits of sites, each exactly once. `run` has to run for as long as hits are to be counted."""

    def __init__(self, store: Store, barrier: Store, *, most_waiting: int, reached: Sequence[int] = ()) -> None:
        count = BUCKETS if store.sharded else 1
        self._queues = [SitesQueue() for _ in range(count)]
        self._senders = [
            ExactSender(
                SitesBatchStore(store, barrier, bucket, reached),
                queue,
                spacing=SPACING,
                confirm=DURABILITY_INTERVAL,
                journal_limit=MAX_JOURNAL_BATCHES // count,
            )
            for bucket, queue in enumerate(self._queues)
        ]
        self._started: set[int] = set()
        self._start: asyncio.Queue[int] = asyncio.Queue()
        self._most_waiting = most_waiting
        self.dropped = 0
        self._loop = asyncio.get_running_loop()

    @property
    def waiting(self) -> int:
        return sum(sender.waiting for sender in self._senders)

    @property
    def counted(self) -> int:
        return sum(sender.counted for sender in self._senders)

    @property
    def batches(self) -> int:
        return sum(sender.batches for sender in self._senders)

    @property
    def journal(self) -> int:
        return sum(len(sender.journal) for sender in self._senders)

    async def run(self) -> None:
        """A sender starts with its first hit."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._senders[await self._start.get()].run())

    async def flush(self, seconds: float) -> None:
        async with asyncio.TaskGroup() as tasks:
            for sender in self._senders:
                if sender.waiting:
                    tasks.create_task(sender.flush(seconds))

    def open(self, site: Site, slot: TimeSlot) -> SlotCounts | None:
        """Where to count a hit, which `wait` has to follow; None where the queue is full."""
        at = site.bucket % len(self._senders)
        queue, sender = self._queues[at], self._senders[at]
        waiting = queue.waiting_of.get(site.id, 0)
        if sender.waiting >= self._most_waiting or waiting >= self._most_waiting // SHARE:
            self.dropped += 1
            return None
        queue.waiting_of[site.id] = waiting + 1
        return queue.batch.slot_of(site, slot)

    def wait(self, site: Site, counts: SlotCounts, path: str, *, counted: bool, numbers: bool) -> NumbersFuture:
        """Until Redis has the hit. The future then holds the hit's `numbers`, or None where they are not asked for, or
        cannot be known in time.
        """
        at = site.bucket % len(self._senders)
        sender = self._senders[at]
        if at not in self._started:
            self._started.add(at)
            self._start.put_nowait(at)
        sender.added()
        if sender.away:
            return self.unknown()
        if numbers:
            future: NumbersFuture = self._loop.create_future()
            counts.waiting.append((path, counted, future))
            return future
        if counts.acknowledged is None:
            counts.acknowledged = self._loop.create_future()
        return counts.acknowledged

    def unknown(self) -> NumbersFuture:
        future: NumbersFuture = self._loop.create_future()
        future.set_result(None)
        return future
