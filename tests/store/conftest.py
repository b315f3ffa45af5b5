"""What the store's tests share: stores on servers of their own, and waiting for what is to come."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvloop

from app.store.client import Store
from app.store.topology import topology
from app.store.tracking import Tracking
from tests.helpers.embedded_users import deserted
from tests.helpers.proxy import Proxy, proxy
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import until

Opened = Callable[..., AbstractAsyncContextManager[Store]]


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loop that a test runs on: uvicorn's where connections are lost, which looks different there."""
    if item.path.name in {"test_faults.py", "test_tracker.py"}:
        return {"uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


@pytest.fixture
def opened() -> Opened:
    """Opens a store at a URL."""

    @asynccontextmanager
    async def opened(url: str, timeout: float = 5.0, **options: Any) -> AsyncIterator[Store]:
        async with Store(topology(url, timeout), timeout, **options) as store:
            yield store

    return opened


@pytest.fixture
async def between(server: Valkey) -> AsyncIterator[Proxy]:
    """A proxy in front of the session's Valkey."""
    async with proxy(server.socket) as between:
        yield between
        # Every store is closed by now, so its connections here end by themselves: better than being cut off meanwhile.
        if ending := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(ending, timeout=5)


@pytest.fixture
async def store(server: Valkey, opened: Opened) -> AsyncIterator[Store]:
    """A store on the session's Valkey."""
    async with opened(server.url) as store:
        yield store


@asynccontextmanager
async def tracked(store: Store) -> AsyncIterator[Tracking]:
    """The tracked connection of a store, which listens to what is subscribed to."""
    async with Tracking(store) as tracking:
        running = asyncio.create_task(tracking.run())
        yield tracking
        running.cancel()


@pytest.fixture
async def tracking(store: Store) -> AsyncIterator[Tracking]:
    async with tracked(store) as tracking:
        yield tracking


@pytest.fixture(scope="module")
def folders() -> Iterator[list[Path]]:
    """The data folders of all tests here: at the end nobody may be left in any of them."""
    folders: list[Path] = []
    yield folders
    for folder in folders:
        until(partial(deserted, folder))
