"""Background work that runs as long as the service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog

from app.server.lifecycle import Lifecycle


@asynccontextmanager
async def background(lifecycle: Lifecycle, *work: Any) -> AsyncIterator[None]:
    """Runs coroutines in the background. If one fails, the reason is logged and `/live` fails."""
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
