"""Work that many ask for at the same moment, done once for all of them."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Within one worker. The work goes on when one of those who wait for it leaves."""

    def __init__(self) -> None:
        self._flights: dict[str, asyncio.Task[T]] = {}

    async def join(self, key: str, begin: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What the work under way for this key returns or raises; where there is none, it begins."""
        task = self._flights.get(key)
        if task is None:
            task = self._flights[key] = asyncio.create_task(begin())
            task.add_done_callback(partial(self._landed, key))
        return await asyncio.shield(task)

    def _landed(self, key: str, task: asyncio.Task[T]) -> None:
        del self._flights[key]
        if not task.cancelled():
            task.exception()  # whoever waited has it; where nobody is left, nobody misses it
