"""Waiting for what is to come, with a deadline: nothing here takes longer than it has to."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from app.store.client import Store, StoreUnavailable
from tests.helpers.sockets import PATIENCE


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> float:
    """Waits until the condition holds; how long that took, in seconds."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "it did not come to that in time"
        time.sleep(0.005)
    return time.monotonic() - started


async def soon(condition: Callable[[], object], seconds: float = PATIENCE) -> float:
    """The same for what happens in this event loop."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "it did not come to that in time"
        await asyncio.sleep(0.005)
    return time.monotonic() - started


async def answers(store: Store, *command: str | int) -> object:
    """What a command is answered as soon as the store is there (again)."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return await store.idempotent(*command)
        except StoreUnavailable:
            assert time.monotonic() < deadline, "the store did not come back"
            await asyncio.sleep(0.01)


async def refused(asked: Awaitable[object]) -> StoreUnavailable:
    """The StoreUnavailable that a command ends with."""
    try:
        reply = await asked
    except StoreUnavailable as away:
        return away
    raise AssertionError(f"it was answered: {reply!r}")
