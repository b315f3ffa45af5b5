"""Live totals: one subscription per worker, however many browsers watch."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from app.counter.store import CounterStore
from app.store.client import ResponseError, StoreUnavailable
from app.store.keys import HITS_CHANGED
from app.store.tasks import run_until_one_ends
from app.store.tracking import Tracking

UPDATE_INTERVAL = 0.1
"""Seconds between announcements and between reads: a busy site costs Redis ten of each per second and worker."""
HEARTBEAT = 15.0
"""Seconds after which an idle stream gets a comment, so that proxies keep it open. The totals are read as often without
an announcement: a subscription whose connection died silently receives none.
"""


class Live:
    """The totals of some counters, read again after each announced change while there are watchers."""

    def __init__(self, tracking: Tracking, counter: CounterStore, names: tuple[str, ...]) -> None:
        self._tracking = tracking
        self._counter = counter
        self._names = names
        self._totals: dict[str, int] | None = None
        self._stale = asyncio.Event()
        self._changed = asyncio.Event()
        self._announce = asyncio.Event()
        self._stop_waker: asyncio.Task[None] | None = None
        self.watchers = 0

    def changed(self) -> None:
        """Schedules the announcement of a change to every worker."""
        self._announce.set()

    async def run(self) -> None:
        """Announces, listens and reads, until cancelled."""
        await run_until_one_ends(self._announce_all(), self._listen(), self._read_all())

    async def watch(self, name: str, stopping: asyncio.Event) -> AsyncGenerator[int | None]:
        """The counter's total now and after each change; None as a heartbeat. Ends when the server stops.

        There is no queue: a slow reader gets the newest total.
        """
        self.watchers += 1
        if self._stop_waker is None:
            self._stop_waker = asyncio.create_task(self._wake_at(stopping))
        if self._totals is None:
            self._stale.set()
        try:
            told: int | None = None
            while not stopping.is_set():
                changed = self._changed
                total = self._totals[name] if self._totals else None
                if total not in (None, told):
                    yield (told := total)
                    continue
                try:
                    async with asyncio.timeout(HEARTBEAT):
                        await changed.wait()
                except TimeoutError:
                    yield None
        finally:
            self.watchers -= 1

    async def _announce_all(self) -> None:
        while True:
            await self._announce.wait()
            await asyncio.sleep(UPDATE_INTERVAL)
            self._announce.clear()
            with suppress(StoreUnavailable, ResponseError):
                await self._counter.announce()

    async def _listen(self) -> None:
        async with aclosing(self._tracking.subscribe(HITS_CHANGED)) as messages:
            async for _ in messages:
                self._stale.set()

    async def _read_all(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT):
                    await self._stale.wait()
            self._stale.clear()
            if not self.watchers:
                self._totals = None
                continue
            try:
                totals = dict(zip(self._names, await self._counter.totals(self._names), strict=True))
            except (StoreUnavailable, ResponseError):
                self._stale.set()
            else:
                if totals != self._totals:
                    self._totals = totals
                    self._wake()
            await asyncio.sleep(UPDATE_INTERVAL)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _wake_at(self, stopping: asyncio.Event) -> None:
        """Wakes all streams when the server stops: waiting for two events would cost a stream two tasks a change."""
        await stopping.wait()
        self._wake()
