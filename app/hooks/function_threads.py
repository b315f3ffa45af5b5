"""Runs plain functions of hook modules in threads of their own.

In the default executor, functions that hang would take every thread from the rest of the service, and its stop would
wait for them.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from threading import Thread
from typing import Any


class FunctionThreads:
    """At most `limit` functions run at once; a further call waits until one returns, or its caller gives up."""

    def __init__(self, limit: int) -> None:
        self._free = asyncio.Semaphore(limit)

    async def run(self, function: Callable[[Any], Any], argument: Any) -> None:
        """Raises what the function raises. A cancelled call leaves its function running."""
        await self._free.acquire()
        loop, context = asyncio.get_running_loop(), copy_context()
        returned: asyncio.Future[BaseException | None] = loop.create_future()

        def finish(error: BaseException | None) -> None:
            self._free.release()
            if not returned.done():
                returned.set_result(error)

        def work() -> None:
            error: BaseException | None = None
            try:
                context.run(function, argument)
            except BaseException as raised:  # noqa: BLE001 - a function may raise anything
                error = raised
            with suppress(RuntimeError):  # the service has stopped
                loop.call_soon_threadsafe(finish, error)

        Thread(target=work, name="hook", daemon=True).start()
        error = await returned
        if error is not None:
            raise error
