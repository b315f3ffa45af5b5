"""The exact counter: every visit once, and to every visitor a number of its own.

All hits of a tick become one batch: a sequence number and what to add. One batch is on its way at a time and is sent
again until it is answered; the script in Redis knows each worker's last sequence number, so a repeat changes nothing.
The visitors of a batch that brought a counter to T share out the numbers up to T.
What Redis acknowledged it may still lose (power, fail-over): the journal keeps it until that cannot happen any more.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from app.counter.journal import Journal
from app.counter.store import CounterStore, Gap
from app.store.client import ResponseError, StoreAway

PATIENCE = 1.0
"""Seconds that a visitor waits for a number; then it is unknown to the page, and the visit counts all the same."""
PAUSE = 0.1
"""Seconds between two attempts to send a batch while Redis is away."""
BATCH = 500
"""Most counters that one batch changes: a script blocks Redis while it runs."""


@dataclass(slots=True)
class Batch:
    added: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, list[asyncio.Future[int | None]]] = field(default_factory=dict)

    def take(self) -> "Batch":
        """Up to BATCH counters of this one, as a batch of their own."""
        if len(self.added) <= BATCH:
            taken = Batch(self.added, self.waiting)
            self.added, self.waiting = {}, {}
            return taken
        names = list(self.added)[:BATCH]
        return Batch(
            {name: self.added.pop(name) for name in names},
            {name: self.waiting.pop(name) for name in names if name in self.waiting},
        )

    def tell(self, totals: Sequence[int]) -> None:
        """Gives each waiting visitor a number: the last of those that the batch added."""
        for name, total in zip(self.added, totals, strict=True):
            futures = self.waiting.get(name, ())
            for number, future in enumerate(futures, total - len(futures) + 1):
                if not future.done():
                    future.set_result(number)

    def give_up(self) -> None:
        """Tells the waiting visitors that their number is unknown; what they added stays in the batch."""
        for futures in self.waiting.values():
            for future in futures:
                if not future.done():
                    future.set_result(None)
        self.waiting.clear()


class Tally:
    """The counters as one worker adds to them. `run` has to run for as long as hits are to be counted."""

    def __init__(self, store: CounterStore, *, most_waiting: int, changed: Callable[[], None]) -> None:
        self._store = store
        self._most_waiting = most_waiting
        self._changed = changed
        self._pending = Batch()
        self._sending: Batch | None = None
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self._worker = uuid.uuid4().hex
        self._sequence = 0
        self._away = False
        self.journal = Journal()
        self.waiting = 0
        self.counted = 0
        self.dropped = 0
        self.batches = 0
        self._loop = asyncio.get_running_loop()  # asking for it costs a system call (getpid) before Python 3.12
        self._log = structlog.get_logger("app.counter")

    def hit(self, name: str) -> asyncio.Future[int | None]:
        """Counts one; the future holds the visitor's number, or None when it cannot be known in time."""
        future: asyncio.Future[int | None] = self._loop.create_future()
        if self.waiting >= self._most_waiting:
            self.dropped += 1
            future.set_result(None)
            return future
        self.waiting += 1
        pending = self._pending
        pending.added[name] = pending.added.get(name, 0) + 1
        if self._away:
            future.set_result(None)
        elif name in pending.waiting:
            pending.waiting[name].append(future)
        else:
            pending.waiting[name] = [future]
        self._wake.set()
        return future

    async def totals(self, *names: str) -> list[int]:
        """The present totals, without counting. Raises StoreAway."""
        return await self._store.totals(names)

    async def run(self) -> None:
        """Sends batches, and confirms them, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send_all())
            tasks.create_task(self.journal.confirm_all(self._confirm))

    async def flush(self, seconds: float) -> None:
        """Waits until everything is counted, for so long at most; logs what is lost after that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.waiting:  # noqa: ASYNC110  happens once, at the end
                    await asyncio.sleep(0.005)
        if self.waiting:
            self._log.error("visits were lost: Redis did not come back in time", visits=self.waiting)

    async def _send_all(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending.added:
                self._sending = batch = self._pending.take()
                totals = await self._deliver(batch)
                self._sending = None
                batch.tell(totals)
                count = sum(batch.added.values())
                self.waiting -= count
                self.counted += count
                self.batches += 1
                self._changed()

    async def _deliver(self, batch: Batch) -> list[int]:
        """Sends the batch until it is answered."""
        increments = [part for pair in batch.added.items() for part in pair]
        patience = self._loop.call_later(PATIENCE, self._lose_patience)
        while True:
            try:
                async with self._turn:
                    totals = await self._apply(increments)
            except (StoreAway, ResponseError) as error:
                if isinstance(error, ResponseError):
                    self._log.error("Redis refuses to count", reason=str(error))
                await asyncio.sleep(PAUSE)
            else:
                patience.cancel()
                self._away = False
                return totals

    def _lose_patience(self) -> None:
        self._away = True
        self._pending.give_up()
        if self._sending is not None:
            self._sending.give_up()

    async def _apply(self, increments: list[str | int]) -> list[int]:
        while True:
            sequence = self._sequence + 1
            try:
                totals = await self._store.apply(self._worker, sequence, increments)
            except Gap as gap:
                await self._restore(gap.last)
                continue
            self._sequence = sequence
            self.journal.append(sequence, increments, time.monotonic())
            return totals

    async def _restore(self, last: int) -> None:
        """Sends again what the store had acknowledged and has lost. Whoever calls holds the turn."""
        lost = self.journal.after(last)
        if not lost or lost[0].sequence != last + 1:
            # It lost more than the journal remembers, or only forgot this worker: go on under a new name.
            self._worker, self._sequence = uuid.uuid4().hex, 0
            lost = self.journal.renumber(lost)
        self._log.warning("Redis had lost visits; they are sent again", batches=len(lost))
        for entry in lost:
            await self._store.apply(self._worker, entry.sequence, entry.increments)
            self._sequence = entry.sequence

    async def _confirm(self) -> None:
        """Looks whether the store still has what it acknowledged, and forgets what it cannot lose any more."""
        known, worker = self._sequence, self._worker
        if not known:
            return
        last, held = await self._store.settled(worker, await self.journal.barriers(self._store))
        if last < known and worker == self._worker:
            async with self._turn:
                last, _ = await self._store.settled(worker, await self.journal.barriers(self._store))
                if last < self._sequence and worker == self._worker:
                    await self._restore(last)
        elif held:
            self.journal.forget(last, time.monotonic())
