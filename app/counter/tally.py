"""The exact counter: every visit once, and to every visitor a number of its own.

All hits of a tick become one batch: a sequence number and what to add. One batch is on its way at a time and is sent
again until it is answered; the script in Redis knows each worker's last sequence number, so a repeat changes nothing.
The visitors of a batch that brought a counter to T share out the numbers up to T.
What Redis acknowledged it may still lose (power, fail-over): the journal keeps it until that cannot happen any more.
"""

import asyncio
import math
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from app.counter.durability import Durability
from app.counter.journal import Journal
from app.counter.store import CounterStore, SequenceGap
from app.store.client import CannotWrite, ResponseError, StoreUnavailable

PATIENCE = 1.0
"""Seconds that a visitor waits for a number; then it is unknown to the page, and the visit counts all the same."""
PAUSE = 0.1
"""Seconds between two attempts to send a batch while Redis is away."""
CONFIRM = 0.25
"""Seconds between two looks at what Redis has and can promise to keep."""
QUIET = 2.0
"""Seconds for which no number is told after Redis was started again or replaced: while other workers still send what
it had lost, a number could be one that a visitor of theirs was told before."""
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
        self._server = Durability(store)
        self._most_waiting = most_waiting
        self._changed = changed
        self._pending = Batch()
        self._sending: Batch | None = None
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self._worker = uuid.uuid4().hex
        self._sequence = 0
        self._away = False
        self._refusal: str | None = None
        self._met = math.inf
        self._connections = 0
        self._quiet_until = 0.0
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
        """The present totals, without counting. Raises StoreUnavailable."""
        return await self._store.totals(names)

    async def run(self) -> None:
        """Sends batches, and confirms them, until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._send_all())
                tasks.create_task(self._confirm_all())
        finally:
            self._give_up()  # nobody is left who could tell them

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
                if time.monotonic() < self._quiet_until:
                    batch.give_up()
                else:
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
            except (CannotWrite, ResponseError) as error:
                self._refused(str(error))
                await asyncio.sleep(PAUSE)
            except StoreUnavailable:
                await asyncio.sleep(PAUSE)
            else:
                await self._meet()
                patience.cancel()
                self._away, self._refusal = False, None
                return totals

    async def _apply(self, increments: list[str | int]) -> list[int]:
        while True:
            sequence = self._sequence + 1
            try:
                totals = await self._store.apply(self._worker, sequence, increments)
            except SequenceGap as gap:
                await self._restore(gap.last)
                continue
            self._sequence = sequence
            self.journal.append(sequence, increments, time.monotonic())
            return totals

    async def _meet(self) -> None:
        """Looks who is there after each new connection: only the server that was there before can tell numbers at once.

        The first is believed.
        """
        connections = self._store.connections
        if connections != self._connections:
            same = False
            with suppress(StoreUnavailable):
                same = await self._server.same_since(self._met)
                self._connections = connections
            if not same:
                self._quiet_until = time.monotonic() + QUIET
        self._met = time.monotonic()

    async def _restore(self, last: int) -> None:
        """Sends again what the store had acknowledged and has lost. Whoever calls holds the turn.

        Wherever it ends early, the next batch meets a gap again, because the journal keeps its numbers.
        """
        lost = self.journal.after(last)
        if last == 0 and lost and await self._server.same_since(lost[0].acknowledged):
            lost = []  # it has them, and forgot only this worker's record: expired, evicted, or emptied on purpose
        if not lost or lost[0].sequence != last + 1:
            # It forgot this worker, or lost more than the journal remembers: go on under a new name.
            self._worker, self._sequence = uuid.uuid4().hex, len(lost)
            self.journal.begin_anew(lost)
        self._log.warning("Redis has gone back or forgot this worker", batches_sent_again=len(lost))
        with suppress(SequenceGap):
            for entry in lost:
                await self._store.apply(self._worker, entry.sequence, entry.increments)
                entry.acknowledged = time.monotonic()

    async def _confirm_all(self) -> None:
        while True:
            await self._meet()
            with suppress(StoreUnavailable, ResponseError):  # there is nothing to confirm, then
                await self._confirm()
            await asyncio.sleep(CONFIRM)

    async def _confirm(self) -> None:
        """Looks whether the store still has what it acknowledged, and forgets what it cannot lose any more."""
        known, worker = self._sequence, self._worker
        if not known:
            return
        last, held = await self._server.settled(worker)
        if last < known:
            async with self._turn:
                last = await self._store.last(self._worker)
                if last < self._sequence:
                    await self._restore(last)
        elif held and worker == self._worker:
            self.journal.forget(last, time.monotonic())

    def _lose_patience(self) -> None:
        if not self._away and self._refusal is None:
            self._log.warning("Redis does not answer: visits wait to be counted", visits=self.waiting)
        self._give_up()

    def _give_up(self) -> None:
        """Tells the visitors who wait, and those to come, that their number is unknown."""
        self._away = True
        self._pending.give_up()
        if self._sending is not None:
            self._sending.give_up()

    def _refused(self, reason: str) -> None:
        if reason != self._refusal:
            self._log.error("Redis refuses to count: visits wait until it is mended", reason=reason)
            self._refusal = reason
