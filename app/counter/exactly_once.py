"""Batches that Redis applies exactly once: the part of the counter that other features count with, too.

A batch has a sequence number. One batch is on its way at a time and is sent again until it is answered; the script in
Redis knows each sender's last sequence number, so a repeat changes nothing. What Redis acknowledged it may still lose
(power, fail-over): the journal keeps it until that cannot happen any more.
"""

import asyncio
import math
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

import structlog

from app.counter.batch_store import BatchStore, SequenceGap
from app.counter.durability import Durability
from app.counter.journal import MAX_JOURNAL_BATCHES, Journal
from app.store.client import CannotWrite, ResponseError, StoreUnavailable
from app.store.tasks import run_until_one_ends

REPLY_TIMEOUT = 1.0
"""Seconds that a request waits for its number. Then the page shows none; the visit counts all the same."""
RETRY_INTERVAL = 0.1
"""Seconds between two attempts to send a batch while Redis is unavailable."""
DURABILITY_INTERVAL = 0.25
"""Seconds between two durability checks."""
RECOVERY_PERIOD = 2.0
"""Seconds without numbers after Redis restarted or failed over: while other workers resend lost batches, a number could
repeat one that was given before."""
SMALL_BATCH = 16
"""Hits that are sent at once; fewer wait for more hits, up to the sender's `spacing`."""
SMALL_BATCHES, SMALL_BATCHES_PER_SECOND = 20, 2
"""Small batches that leave at once: so many in a row, then so many a second."""

__all__ = ["MAX_JOURNAL_BATCHES", "Batch", "BatchStore", "ExactSender", "Queue", "SequenceGap"]
R = TypeVar("R")
R_contra = TypeVar("R_contra", contravariant=True)


class Batch(Protocol[R_contra]):
    @property
    def hits(self) -> int: ...

    def arguments(self) -> Sequence[str | int | bytes]:
        """The script's arguments; the same at each attempt."""

    def resolve(self, reply: R_contra) -> None:
        """Resolves the waiting requests with their numbers."""

    def fail(self) -> None:
        """Resolves the waiting requests without numbers; the hits stay in the batch."""


class Queue(Protocol[R_contra]):
    """Hits that wait to be sent."""

    def __bool__(self) -> bool: ...

    def take(self) -> Batch[R_contra]:
        """Removes and returns the next batch."""

    def fail(self) -> None:
        """Resolves the waiting requests without numbers."""


class ExactSender(Generic[R]):
    """Sends the hits of the queue while `run` runs.

    `spacing` is how many seconds a small batch may wait for more hits: it saves Redis commands where hits come one by
    one. `changed` is called after each batch, `evicting` with a maxmemory-policy that may delete what is counted.
    """

    def __init__(
        self,
        store: BatchStore[R],
        queue: Queue[R],
        *,
        changed: Callable[[], None] = lambda: None,
        spacing: float = 0,
        confirm: float | None = None,
        journal_limit: int = MAX_JOURNAL_BATCHES,
        evicting: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self.queue = queue
        self._changed = changed
        self._spacing = spacing
        self._confirm_interval = confirm
        self._small_batches = float(SMALL_BATCHES)
        self._last_sent = 0.0
        self.durability = Durability(store, evicting)
        self._sending: Batch[R] | None = None
        self._wake = asyncio.Event()
        self._more = asyncio.Event()
        self._lock = asyncio.Lock()
        self._worker = uuid.uuid4().hex
        self._sequence = 0
        self.away = False
        self._refusal: str | None = None
        self._server_checked_at = math.inf
        self._connections = 0
        self._recovering_until = 0.0
        self.journal = Journal(journal_limit)
        self.waiting = 0
        self.counted = 0
        self.batches = 0
        self._loop = asyncio.get_running_loop()  # get_running_loop costs a system call (getpid) before Python 3.12
        self._log = structlog.get_logger("app.counter")

    def added(self) -> None:
        """A hit was put into the queue."""
        self.waiting += 1
        self._wake.set()
        if self.waiting == SMALL_BATCH:
            self._more.set()

    async def run(self) -> None:
        """Sends batches, and confirms them, until cancelled."""
        try:
            await run_until_one_ends(self._send_all(), self._confirm_all())
        finally:
            self._fail()  # no request can get a response any more

    async def flush(self, seconds: float) -> None:
        """Waits until all hits are acknowledged, for at most `seconds`; logs how many are lost after that."""
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
            while self.queue:
                if self._spacing:
                    await self._wait_for_more()
                self._sending = batch = self.queue.take()
                reply = await self._deliver(batch)
                self._sending = None
                if time.monotonic() < self._recovering_until:
                    batch.fail()
                else:
                    batch.resolve(reply)
                self.waiting -= batch.hits
                self.counted += batch.hits
                self.batches += 1
                self._changed()

    async def _wait_for_more(self) -> None:
        """Lets a small batch wait for more hits, unless few were sent lately."""
        now = time.monotonic()
        since, self._last_sent = now - self._last_sent, now
        self._small_batches = min(self._small_batches + since * SMALL_BATCHES_PER_SECOND, SMALL_BATCHES)
        if self.waiting >= SMALL_BATCH:
            return
        if self._small_batches >= 1:
            self._small_batches -= 1
            return
        self._more.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._spacing):
                await self._more.wait()

    async def _deliver(self, batch: Batch[R]) -> R:
        """Sends the batch until it is answered."""
        arguments = batch.arguments()
        timeout = self._loop.call_later(REPLY_TIMEOUT, self._time_out)
        while True:
            try:
                async with self._lock:
                    reply = await self._apply(arguments)
            except (CannotWrite, ResponseError) as error:
                self._refused(str(error))
                await asyncio.sleep(RETRY_INTERVAL)
            except StoreUnavailable:
                await asyncio.sleep(RETRY_INTERVAL)
            else:
                await self._check_server()
                timeout.cancel()
                self.away, self._refusal = False, None
                return reply

    async def _apply(self, arguments: Sequence[str | int | bytes]) -> R:
        while True:
            sequence = self._sequence + 1
            try:
                reply = await self._store.apply(self._worker, sequence, arguments)
            except SequenceGap as gap:
                await self._restore(gap.last)
                continue
            self._sequence = sequence
            self.journal.append(sequence, arguments, time.monotonic())
            return reply

    async def _check_server(self) -> None:
        """After each new connection: gives numbers at once only if it leads to the same server as before.

        The first server is trusted.
        """
        connections = self._store.connections
        if connections != self._connections:
            same = False
            with suppress(StoreUnavailable):
                same = await self.durability.same_since(self._server_checked_at)
                self._connections = connections
            if not same:
                self._recovering_until = time.monotonic() + RECOVERY_PERIOD
        self._server_checked_at = time.monotonic()

    async def _restore(self, last: int) -> None:
        """Resends the batches that Redis acknowledged and lost. The caller holds the turn.

        If this ends early, the next batch meets a gap again, because the journal keeps its numbers.
        """
        lost = self.journal.after(last)
        if last == 0 and lost and await self.durability.same_since(lost[0].acknowledged):
            lost = []  # the data is there, only this worker's record is gone: expired, evicted or deleted
        if not lost or lost[0].sequence != last + 1:
            # The record is gone, or more is lost than the journal holds: continue under a new worker id.
            self._worker, self._sequence = uuid.uuid4().hex, len(lost)
            self.journal.begin_anew(lost)
        self._log.warning("Redis has gone back or forgot this worker", batches_sent_again=len(lost))
        with suppress(SequenceGap):
            for entry in lost:
                await self._store.apply(self._worker, entry.sequence, entry.arguments)
                entry.acknowledged = time.monotonic()

    async def _confirm_all(self) -> None:
        while True:
            await self._check_server()
            with suppress(StoreUnavailable, ResponseError):  # there is nothing to confirm
                await self._confirm()
            await asyncio.sleep(self._confirm_interval or DURABILITY_INTERVAL)

    async def _confirm(self) -> None:
        """Checks that Redis still has the acknowledged batches, and drops the durable ones from the journal."""
        known, worker = self._sequence, self._worker
        if not known or (self._spacing and not self.journal):
            return
        last, held = await self.durability.settled(worker)
        if last < known:
            async with self._lock:
                last = await self._store.last(self._worker)
                if last < self._sequence:
                    await self._restore(last)
        elif held and worker == self._worker:
            self.journal.forget(last, time.monotonic())

    def _time_out(self) -> None:
        if not self.away and self._refusal is None:
            self._log.warning("Redis does not answer: visits wait to be counted", visits=self.waiting)
        self._fail()

    def _fail(self) -> None:
        """Resolves waiting and coming requests with None."""
        self.away = True
        self.queue.fail()
        if self._sending is not None:
            self._sending.fail()

    def _refused(self, reason: str) -> None:
        if reason != self._refusal:
            self._log.error("Redis refuses to count: visits wait until it is mended", reason=reason)
            self._refusal = reason
