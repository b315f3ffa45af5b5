"""What the counter's tests share: a tally at work, as the service runs it, and servers to maltreat."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

import pytest

from app.counter.store import CounterStore
from app.counter.tally import Tally
from app.store.client import Store
from app.store.topology import topology
from tests.helpers.valkey import Valkey, valkey

TIMEOUT = 5.0
Counting = Callable[..., AbstractAsyncContextManager[Tally]]


@asynccontextmanager
async def stores(url: str, barrier_url: str | None = None) -> AsyncIterator[tuple[Store, Store]]:
    """The two connections of a worker: one for its commands, one for its barriers."""
    async with (
        Store(topology(url, TIMEOUT), TIMEOUT) as store,
        Store(topology(barrier_url or url, TIMEOUT), TIMEOUT) as barrier,
    ):
        yield store, barrier


@asynccontextmanager
async def counting(
    url: str, *, barrier_url: str | None = None, max_queued: int = 100_000, kind: type[CounterStore] = CounterStore
) -> AsyncIterator[Tally]:
    """A tally that runs until the end of the block."""
    async with stores(url, barrier_url) as (store, barrier):
        tally = Tally(kind(store, barrier), max_queued=max_queued, changed=lambda: None)
        running = asyncio.create_task(tally.run())
        try:
            yield tally
            assert not running.done(), "the tally has stopped by itself"
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


@pytest.fixture
async def tally(server: Valkey) -> AsyncIterator[Tally]:
    """A tally on the session's Valkey."""
    async with counting(server.url) as tally:
        yield tally


@pytest.fixture
async def counter(server: Valkey) -> AsyncIterator[CounterStore]:
    """The counter's store alone, on the session's Valkey."""
    async with stores(server.url) as (store, barrier):
        yield CounterStore(store, barrier)


@pytest.fixture
def own_server(short_folder: Path, request: pytest.FixtureRequest) -> Iterator[Valkey]:
    """A Valkey of the test's own, to be killed or configured."""
    with valkey(short_folder / f"own{abs(hash(request.node.name)) % 10**8}") as server:
        yield server
