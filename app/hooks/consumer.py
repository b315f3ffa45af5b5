"""Reads raised events from their streams as a consumer group: one worker handles each event."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

import structlog

from app.events.event import Record
from app.hooks.in_process import InProcess
from app.hooks.models import Webhook
from app.hooks.store import Entry, HooksStore
from app.store import keys
from app.store.client import ResponseError, StoreUnavailable
from app.store.tasks import run_until_one_ends
from app.store.tracking import Tracking

CHECK_INTERVAL = 5.0
"""Seconds after which streams are read without an announcement, which may have been lost."""
TRIM_INTERVAL = 1.0


@dataclass
class Consumer:
    """`name` is that of the consumer; `taken` is called when events were taken."""

    store: HooksStore
    tracking: Tracking
    in_process: InProcess
    taken: Callable[[], None]
    name: str
    clock: Callable[[], float]
    lost: int = 0
    _raised: asyncio.Event = field(default_factory=asyncio.Event)
    _announced: set[str] = field(default_factory=lambda: set(keys.RAISED_PARTS))

    async def run(self) -> None:
        await run_until_one_ends(self._listen(), self._take_all(), self._trim())

    async def _listen(self) -> None:
        async with aclosing(self.tracking.subscribe(keys.EVENTS_RAISED)) as messages:
            async for stream in messages:
                parts = keys.RAISED_PARTS if stream is None else (stream[1:-8].decode(),)  # `{part}:raised`
                self._announced.update(parts)
                self._raised.set()

    async def _take_all(self) -> None:
        while True:
            self._raised.clear()
            parts = self._announced
            self._announced = set()
            try:
                more = await asyncio.gather(*(self._take(part) for part in parts))
            except (StoreUnavailable, ResponseError) as error:
                structlog.get_logger("app").warning("events wait", reason=str(error))
                self._announced |= parts
                await asyncio.sleep(1)
                continue
            self._announced |= {part for part, found in zip(parts, more, strict=True) if found}
            if not self._announced:
                await self._wait()

    async def _wait(self) -> None:
        """Waits for an announcement, or CHECK_INTERVAL."""
        try:
            async with asyncio.timeout(CHECK_INTERVAL):
                await self._raised.wait()
        except TimeoutError:
            self._announced = set(keys.RAISED_PARTS)

    async def _take(self, part: str) -> bool:
        """Returns whether there were events."""
        entries, lost = await self.store.raised(part, self.name)
        if lost:
            self.lost += lost
            structlog.get_logger("app").error("events are lost: too many waited", part=part, count=lost)
        if not entries:
            entries = await self.store.abandoned(part, self.name)
        if entries:
            webhooks = await self.store.webhooks()  # read after the events: each webhook that was there is known
            await asyncio.gather(*(self._handle(entry, webhooks.values()) for entry in entries))
            await self.store.done(part, [entry_id for entry_id, _ in entries])
            self.taken()
        return bool(entries)

    async def _handle(self, entry: Entry, webhooks: Collection[Webhook]) -> None:
        try:
            record = Record.load(entry[1])
        except (ValueError, KeyError, TypeError):
            structlog.get_logger("app").warning("an event cannot be read", entry=entry[0].decode())
            return
        wanted = [each.id for each in webhooks if each.enabled and each.wants(record.type, record.data)]
        if await self.store.take(record, wanted, self.clock()):
            self.in_process.notify(record)

    async def _trim(self) -> None:
        while True:
            await asyncio.sleep(TRIM_INTERVAL)
            with suppress(StoreUnavailable, ResponseError):
                await self.store.trim(self.clock())
