"""Sends the hits of all sites to Redis, each exactly once: one sender, or in a cluster one for each bucket."""

import asyncio
import time
from collections.abc import Sequence

from app.counter.exactly_once import MAX_JOURNAL_BATCHES, ExactSender
from app.sites.batch import NameCounts, SitesBatch, SlotCounts, TotalsFuture, ValueFuture
from app.sites.models import BUCKETS, Site
from app.sites.site_calendar import TimeSlot
from app.sites.store import Reply, SitesBatchStore
from app.store.client import Store

BATCH_DELAY = 0.05
"""Seconds for which a hit waits for others of its batch."""
DURABILITY_INTERVAL = 1.0
SITE_SHARE = 4
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
            left = self.waiting_of.get(counts.owner, 0) - counts.count
            if left > 0:
                self.waiting_of[counts.owner] = left
            else:
                self.waiting_of.pop(counts.owner, None)
        return SlotsBatch(slots)

    def fail(self) -> None:
        self.batch.fail()


class SlotsBatch:
    """Hits that are sent, and await their reply."""

    def __init__(self, slots: Sequence[SlotCounts | NameCounts]) -> None:
        self._slots = slots
        self.hits = sum(counts.count for counts in slots)
        now = time.time()
        self._arguments = [part for counts in slots for part in (counts.head(), counts.report(now))]

    def arguments(self) -> Sequence[str | bytes]:
        return self._arguments

    def resolve(self, reply: Reply) -> None:
        for counts, totals in zip(self._slots, reply, strict=True):
            if totals is None:
                counts.fail()
            else:
                counts.resolve(totals)

    def fail(self) -> None:
        for counts in self._slots:
            counts.fail()


class HitSenders:
    """Counts hits while `run` runs."""

    def __init__(self, store: Store, barrier: Store, *, max_queued: int, reached: Sequence[int] = ()) -> None:
        count = BUCKETS if store.sharded else 1
        self._queues = [SitesQueue() for _ in range(count)]
        self._senders = [
            ExactSender(
                SitesBatchStore(store, barrier, bucket, reached),
                queue,
                spacing=BATCH_DELAY,
                confirm=DURABILITY_INTERVAL,
                journal_limit=MAX_JOURNAL_BATCHES // count,
            )
            for bucket, queue in enumerate(self._queues)
        ]
        self._started: set[int] = set()
        self._start: asyncio.Queue[int] = asyncio.Queue()
        self._max_queued, self._max_of_site = max_queued, max_queued // SITE_SHARE
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
        """Starts each sender with its first hit."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._senders[await self._start.get()].run())

    async def flush(self, seconds: float) -> None:
        async with asyncio.TaskGroup() as tasks:
            for sender in self._senders:
                if sender.waiting:
                    tasks.create_task(sender.flush(seconds))

    def reserve(self, site: Site, slot: TimeSlot) -> SlotCounts | None:
        """The counts to add a hit to, before `enqueue`; None if the queue is full."""
        at = site.bucket % len(self._senders)
        return self._queues[at].batch.slot_of(site, slot) if self._take_room(at, site.id) else None

    def _take_room(self, at: int, owner: str) -> bool:
        waiting_of = self._queues[at].waiting_of
        waiting = waiting_of.get(owner, 0)
        if self._senders[at].waiting < self._max_queued and waiting < self._max_of_site:
            waiting_of[owner] = waiting + 1
            return True
        self.dropped += 1
        return False

    def enqueue(self, site: Site, counts: SlotCounts, path: str, *, counted: bool, want_totals: bool) -> TotalsFuture:
        """Sends what was added to `counts`. The future is done when Redis has the hit. It holds the totals, or None if
        they are not wanted or Redis is away.
        """
        sender = self._added(site.bucket % len(self._senders))
        if sender.away:
            return self.without_totals()
        if want_totals:
            future: TotalsFuture = self._loop.create_future()
            counts.waiting.append((path, counted, future))
            return future
        if counts.acknowledged is None:
            counts.acknowledged = self._loop.create_future()
        return counts.acknowledged

    def is_away(self, bucket: int) -> bool:
        """Whether hits of the bucket are answered without totals."""
        return self._senders[bucket % len(self._senders)].away

    def hit_named(self, bucket: int, name: str) -> ValueFuture:
        """Counts a hit of a counter of CountAPI. The future holds its value, or None if Redis is away."""
        at = bucket % len(self._senders)
        queue, unknown = self._queues[at], self._loop.create_future()
        unknown.set_result(None)
        if not self._take_room(at, NameCounts.owner):
            return unknown
        counts = queue.batch.name_of(bucket, name)
        if counts is None:
            self.dropped += 1
            queue.waiting_of[NameCounts.owner] -= 1
            return unknown
        counts.count += 1
        if self._added(at).away:
            return unknown
        future: ValueFuture = self._loop.create_future()
        counts.waiting.append(future)
        return future

    def _added(self, at: int) -> ExactSender[Reply]:
        """The sender, which starts with its first hit."""
        if at not in self._started:
            self._started.add(at)
            self._start.put_nowait(at)
        self._senders[at].added()
        return self._senders[at]

    def without_totals(self) -> TotalsFuture:
        """A future that is done, with None."""
        future: TotalsFuture = self._loop.create_future()
        future.set_result(None)
        return future
