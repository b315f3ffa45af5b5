"""Totals as they change: one Redis subscription a worker, however many browsers watch."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from app.counter.store import CounterStore
from app.store.client import ResponseError, Store, StoreAway
from app.store.keys import HITS_CHANGED

ANNOUNCE_EVERY = 0.1
"""Seconds: changes within them are announced once, so that a busy site costs Redis ten messages a second."""
HEARTBEAT = 15.0
"""Seconds after which a quiet stream says something, so that proxies keep it open."""


class Live:
    """The totals of some counters, read anew whenever a worker announces a change."""

    def __init__(self, store: Store, counter: CounterStore, names: tuple[str, ...]) -> None:
        self._store = store
        self._counter = counter
        self._names = names
        self._totals: dict[str, int] | None = None
        self._changed = asyncio.Event()
        self._announce = asyncio.Event()
        self.watchers = 0

    def changed(self) -> None:
        """Announces soon, to every worker, that totals have changed."""
        self._announce.set()

    async def run(self) -> None:
        """Announces and listens, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._announce_all())
            tasks.create_task(self._listen())

    async def watch(self, name: str, stopping: asyncio.Event) -> AsyncGenerator[int | None]:
        """The counter's total now and after each change; None as a heartbeat. Ends when the server stops.

        A slow reader is not queued for: it gets the newest total when it comes back.
        """
        self.watchers += 1
        try:
            told: int | None = None
            if self._totals is None or self.watchers == 1:
                await self._read()
            while not stopping.is_set():
                changed = self._changed
                total = self._totals[name] if self._totals else None
                if total != told:
                    yield (told := total)
                    continue
                with suppress(TimeoutError):
                    async with asyncio.timeout(HEARTBEAT):
                        await _either(changed, stopping)
                        continue
                yield None
        finally:
            self.watchers -= 1

    async def _announce_all(self) -> None:
        while True:
            await self._announce.wait()
            await asyncio.sleep(ANNOUNCE_EVERY)
            self._announce.clear()
            with suppress(StoreAway, ResponseError):
                await self._counter.announce()

    async def _listen(self) -> None:
        async with aclosing(self._store.subscribe(HITS_CHANGED)) as messages:
            async for _ in messages:
                if self.watchers:
                    await self._read()

    async def _read(self) -> None:
        with suppress(StoreAway, ResponseError):
            totals = await self._counter.totals(self._names)
            self._totals = dict(zip(self._names, totals, strict=True))
            self._changed.set()
            self._changed = asyncio.Event()


async def _either(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
