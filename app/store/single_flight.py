"""Joins concurrent calls for the same work into one."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Per worker. The work continues when one of its waiters is cancelled."""

    def __init__(self) -> None:
        self._flights: dict[str, asyncio.Task[T]] = {}

    async def join(self, key: str, begin: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Returns or raises the result of the work in flight for this key; starts the work if there is none."""
        task = self._flights.get(key)
        if task is None:
            task = self._flights[key] = asyncio.create_task(begin())
            task.add_done_callback(partial(self._landed, key))
        return await asyncio.shield(task)

    def _landed(self, key: str, task: asyncio.Task[T]) -> None:
        del self._flights[key]
        if not task.cancelled():
            task.exception()  # marks it as retrieved: waiters have it
