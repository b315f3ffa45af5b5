"""Runs due work from Redis in the background: several attempts at once, limited by receiver."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

from app.store.client import ResponseError, StoreUnavailable

CHECK_INTERVAL = 1.0
Attempt = Callable[[], Awaitable[None]]


class Attempts:
    """At most `limit` run at once; `running` counts those of each receiver."""

    def __init__(self, limit: int) -> None:
        self.running: Counter[str] = Counter()
        self._limit = limit
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def room(self) -> int:
        """How many more may start."""
        return self._limit - len(self._tasks)

    def wake(self) -> None:
        """Starts due attempts now."""
        self._wake.set()

    def start(self, receiver: str, attempt: Attempt) -> None:
        self.running[receiver] += 1
        task = asyncio.create_task(self._watched(receiver, attempt))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self, seconds: float) -> None:
        """Waits for the attempts under way."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def run(self, start_due: Callable[[], Awaitable[None]], on_check: Callable[[], None] = lambda: None) -> None:
        """Calls `start_due` when woken, and each second after `on_check`, until cancelled. Attempts under way are
        cancelled, too: their lease ends, and they are made again.
        """
        loop, check_at = asyncio.get_running_loop(), 0.0
        try:
            while True:
                self._wake.clear()
                if loop.time() >= check_at:
                    check_at = loop.time() + CHECK_INTERVAL
                    on_check()
                with suppress(StoreUnavailable, ResponseError):
                    await start_due()
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(check_at):
                        await self._wake.wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watched(self, receiver: str, attempt: Attempt) -> None:
        try:
            with suppress(StoreUnavailable, ResponseError):  # made again after the lease
                await attempt()
        finally:
            self.running[receiver] -= 1
            if not self.running[receiver]:
                del self.running[receiver]
            self.wake()
