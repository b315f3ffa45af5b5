"""Work that runs beside the requests for as long as the service does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog

from app.server.lifecycle import Lifecycle


@asynccontextmanager
async def background(lifecycle: Lifecycle, *work: Any) -> AsyncIterator[None]:
    """Runs coroutines beside the requests. When one fails, the log says why and `/live` asks for a restart."""
    tasks = [asyncio.create_task(_watched(lifecycle, coroutine)) for coroutine in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _watched(lifecycle: Lifecycle, work: Any) -> None:
    try:
        await work
    except Exception:
        structlog.get_logger("app").exception("background work has stopped")
        lifecycle.broken = True
        raise
