"""Reads raised events from their streams as a consumer group: one worker handles each event."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress

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


class Consumer:
    def __init__(
        self,
        store: HooksStore,
        tracking: Tracking,
        webhooks: Callable[[], dict[str, Webhook]],
        in_process: InProcess,
        taken: Callable[[], None],
        consumer: str,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._tracking = tracking
        self._webhooks = webhooks
        self._in_process = in_process
        self._taken = taken
        self._consumer = consumer
        self._clock = clock
        self._raised = asyncio.Event()
        self._announced: set[str] = set(keys.RAISED_PARTS)
        self._log = structlog.get_logger("app")
        self.lost = 0

    async def run(self) -> None:
        await run_until_one_ends(self._listen(), self._take_all(), self._trim())

    async def _listen(self) -> None:
        async with aclosing(self._tracking.subscribe(keys.EVENTS_RAISED)) as messages:
            async for stream in messages:
                self._announced |= set(keys.RAISED_PARTS) if stream is None else {_part_of(stream.decode())}
                self._raised.set()

    async def _take_all(self) -> None:
        while True:
            self._raised.clear()
            parts = self._announced
            self._announced = set()
            try:
                more = await asyncio.gather(*(self._take(part) for part in parts))
            except (StoreUnavailable, ResponseError) as error:
                self._log.warning("events wait", reason=str(error))
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
        entries, lost = await self._store.raised(part, self._consumer)
        if lost:
            self.lost += lost
            self._log.error("events are lost: too many waited", part=part, count=lost)
        if not entries:
            entries = await self._store.abandoned(part, self._consumer)
        if entries:
            await asyncio.gather(*(self._handle(entry) for entry in entries))
            await self._store.done(part, [entry_id for entry_id, _ in entries])
            self._taken()
        return bool(entries)

    async def _handle(self, entry: Entry) -> None:
        try:
            record = Record.load(entry[1])
        except (ValueError, KeyError, TypeError):
            self._log.warning("an event cannot be read", entry=entry[0].decode())
            return
        wanted = [
            each.id for each in self._webhooks().values() if each.enabled and each.wants(record.type, record.data)
        ]
        if await self._store.take(record, wanted, self._clock()):
            self._in_process.notify(record)

    async def _trim(self) -> None:
        while True:
            await asyncio.sleep(TRIM_INTERVAL)
            with suppress(StoreUnavailable, ResponseError):
                await self._store.trim(self._clock())


def _part_of(stream: str) -> str:
    """The hash tag of a stream of raised events."""
    return stream.removeprefix("{").removesuffix("}:raised")
