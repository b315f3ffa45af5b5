"""Waits with a deadline."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

from app.store.client import Store, StoreUnavailable
from tests.helpers.sockets import PATIENCE


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> float:
    """Blocks until the condition holds; returns the seconds that it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"not within {seconds:g} s"
        time.sleep(0.005)
    return time.monotonic() - started


async def eventually(
    condition: Callable[[], object] | Callable[[], Awaitable[object]], seconds: float = PATIENCE, *, what: str = "it"
) -> Any:
    """Waits until the condition, a function or a coroutine function, returns something true; returns that."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.005)


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
