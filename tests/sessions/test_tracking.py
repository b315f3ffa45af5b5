"""What was read from Redis is kept, and never old: here the keeping itself, on a real Valkey."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from app.store.client import Store, StoreUnavailable
from app.store.topology import topology
from app.store.tracking import Fields, TrackedHashes, Tracking
from tests.helpers.proxy import proxy
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import eventually

Tracked = TrackedHashes[int]


def parsed(key: str, fields: Fields) -> int | None:
    return int(fields[b"n"]) if fields[b"n"].isdigit() else None


@asynccontextmanager
async def opened(url: str, timeout: float = 10, limit: int = 20_000) -> AsyncIterator[tuple[Store, Tracked]]:
    """A store, and what is kept of its hashes."""
    async with (
        Store(topology(url, timeout), timeout) as store,
        Tracking(store) as tracking,
    ):
        yield store, TrackedHashes(tracking, parsed, limit)


@pytest.fixture
async def pair(server: Valkey) -> AsyncIterator[tuple[Store, Tracked]]:
    async with opened(server.url) as pair:
        yield pair


def tracking_clients(server: Valkey) -> list[int]:
    """The ids of the connections that are told of changes."""
    with server.client as client:
        return [int(each["id"]) for each in client.client_list() if "t" in each["flags"]]


async def test_cached_hash_costs_no_command(pair: tuple[Store, Tracked], server: Valkey) -> None:
    store, tracked = pair
    await store.idempotent("HSET", "k", "n", 1)
    assert tracked.cached("k") is None
    assert await tracked.read("k") == 1
    with server.client as client:
        before = client.info("commandstats")["cmdstat_hgetall"]["calls"]
        for _ in range(20):
            assert await tracked.read("k") == tracked.cached("k") == 1
        assert client.info("commandstats")["cmdstat_hgetall"]["calls"] == before


async def test_missing_hash_is_cached_until_created(pair: tuple[Store, Tracked]) -> None:
    store, tracked = pair
    assert await tracked.read("k") is None
    await store.idempotent("HSET", "k", "n", 1)

    async def there() -> bool:
        return await tracked.read("k") == 1

    await eventually(there)


@pytest.mark.parametrize(
    "command",
    [("HSET", "k", "n", 2), ("DEL", "k"), ("PEXPIRE", "k", 0), ("HDEL", "k", "n"), ("RENAME", "k", "l"), ("FLUSHALL",)],
)
async def test_every_change_invalidates(pair: tuple[Store, Tracked], command: tuple[str | int, ...]) -> None:
    store, tracked = pair
    await store.idempotent("HSET", "k", "n", 1)
    assert await tracked.read("k") == 1
    await store.idempotent(*command)
    await eventually(lambda: tracked.cached("k") is None)
    assert await tracked.read("k") == (2 if command[0] == "HSET" else None)


async def test_forgotten_hash_is_read_again(pair: tuple[Store, Tracked]) -> None:
    store, tracked = pair
    await store.idempotent("HSET", "k", "n", 1)
    assert await tracked.read("k") == 1
    await store.idempotent("HSET", "k", "n", 2)
    tracked.forget("k")
    assert await tracked.read("k") == 2


@pytest.mark.parametrize(
    "invalidate",
    [
        lambda tracking: tracking.changed([b"j", b"k"]),
        lambda tracking: tracking.changed(None),  # FLUSHALL
        lambda tracking: tracking.lost(object()),
    ],
)
async def test_a_hash_that_is_invalidated_while_it_is_read_is_not_cached(
    server: Valkey, invalidate: Callable[[Tracking], None]
) -> None:
    async with Store(topology(server.url, 10), 10) as store, Tracking(store) as tracking:
        first, second = TrackedHashes(tracking, parsed), TrackedHashes(tracking, parsed)
        await store.idempotent("HSET", "k", "n", 1)
        reading = asyncio.gather(first.read("k"), second.read("k"))
        await asyncio.sleep(0)
        invalidate(tracking)
        assert [*await reading] == [1, 1]
        assert first.cached("k") is second.cached("k") is None
        assert await first.read("k") == first.cached("k") == 1


async def test_unparseable_hash_is_none(pair: tuple[Store, Tracked]) -> None:
    store, tracked = pair
    await store.idempotent("HSET", "k", "n", "x")
    assert await tracked.read("k") is None


async def test_cache_is_bounded(server: Valkey) -> None:
    async with opened(server.url, limit=20) as (store, tracked):
        for number in range(50):
            await store.idempotent("HSET", f"k{number}", "n", number)
            assert await tracked.read(f"k{number}") == number
            assert len(tracked._cached) <= 20
        assert tracked.cached("k49") == 49
        assert tracked.cached("k0") is None


async def test_cancelled_read_leaves_nothing_behind(pair: tuple[Store, Tracked]) -> None:
    store, tracked = pair
    await store.idempotent("HSET", "k", "n", 1)
    reading = asyncio.create_task(tracked.read("k"))
    await asyncio.sleep(0)
    tracked.forget("k")
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert not tracked._reading
    assert not tracked._outdated
    assert await tracked.read("k") == tracked.cached("k") == 1


async def test_nothing_is_cached_without_the_tracking_connection(server: Valkey) -> None:
    async with opened(server.url) as (store, tracked):
        await store.idempotent("HSET", "k", "n", 1)
        assert await tracked.read("k") == 1
        await eventually(lambda: len(tracking_clients(server)) == 1)  # those of other tests may be about to go
        with server.client as client:
            (connection,) = tracking_clients(server)
            client.client_kill_filter(_id=connection)
            await eventually(lambda: tracked.cached("k") is None)
            client.hset("k", "n", 2)
        assert await tracked.read("k") == 2
        await eventually(lambda: tracking_clients(server))

        async def kept_again() -> bool:
            await tracked.read("k")
            return tracked.cached("k") == 2

        await eventually(kept_again)
        await store.idempotent("HSET", "k", "n", 3)
        await eventually(lambda: tracked.cached("k") is None)


async def test_a_store_without_tracking_is_read_each_time(server: Valkey) -> None:
    """A proxy or an ACL may refuse CLIENT TRACKING."""
    with server.client as client:
        client.acl_setuser("plain", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-client|tracking"])
    try:
        async with opened(f"unix://plain:x@{server.socket}", timeout=2) as (store, tracked):
            for number in range(3):
                await store.idempotent("HSET", "k", "n", number)
                assert await tracked.read("k") == number
                assert tracked.cached("k") is None
    finally:
        with server.client as client:
            client.acl_deluser("plain")


@pytest.mark.slow
async def test_silent_network_leaves_no_stale_values(server: Valkey) -> None:
    """No reset tells of it, and no answer is due: only asking for a sign of life finds out."""
    async with proxy(server.socket) as between, opened(between.url, timeout=1) as (store, tracked):
        await store.idempotent("HSET", "k", "n", 1)
        assert await tracked.read("k") == 1
        between.freeze()
        await eventually(lambda: tracked.cached("k") is None)
        with pytest.raises(StoreUnavailable):
            await tracked.read("k")
        with server.client as client:
            client.hset("k", "n", 2)
        between.thaw()

        async def kept_again() -> bool:
            try:
                return await tracked.read("k") == tracked.cached("k") == 2
            except StoreUnavailable:
                return False

        await eventually(kept_again)


async def test_a_quiet_connection_stays(server: Valkey) -> None:
    async with opened(server.url, timeout=1) as (store, tracked):
        await store.idempotent("HSET", "k", "n", 1)
        assert await tracked.read("k") == 1
        with server.client as client:
            pings = client.info("commandstats")["cmdstat_ping"]["calls"]
            await eventually(lambda: client.info("commandstats")["cmdstat_ping"]["calls"] >= pings + 2)
        assert tracked.cached("k") == 1


class Storm:
    """Writers that only ever count up, and readers that note when they saw less than what had been written before."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.written: dict[str, int] = {}
        self.heard: list[tuple[float, str, int]] = []
        self.until = 0.0

    def begin(self) -> None:
        self.until = time.monotonic() + 0.6

    async def write(self, store: Store, key: str) -> None:
        number = 0
        while time.monotonic() < self.until:
            number += 1
            await store.idempotent("HSET", key, "n", number)
            self.written[key] = number
            await asyncio.sleep(self.chance.choice([0, 0, 0.001, 0.004]))

    async def read(self, tracked: Tracked, keys: list[str]) -> None:
        while time.monotonic() < self.until:
            await tracked.read(self.chance.choice(keys))
            await asyncio.sleep(self.chance.choice([0, 0, 0, 0.001]))

    async def disturb(self, server: Valkey) -> None:
        while time.monotonic() < self.until:
            await asyncio.sleep(0.15)
            with server.client as client:
                for connection in tracking_clients(server):
                    client.client_kill_filter(_id=connection)


@pytest.mark.parametrize("disturbed", [False, True])
async def test_many_changes_leave_no_stale_values(server: Valkey, disturbed: bool) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    storm = Storm(seed)
    keys = [f"k{number}" for number in range(4)]
    async with AsyncExitStack() as stack:
        pairs = [await stack.enter_async_context(opened(server.url)) for _ in range(2)]
        storm.begin()
        work: list[Any] = [storm.write(pairs[i % 2][0], key) for i, key in enumerate(keys)]
        work += [storm.read(tracked, keys) for _, tracked in pairs for _ in range(4)]
        await asyncio.gather(*work, *([storm.disturb(server)] if disturbed else []))
        for _, tracked in pairs:
            for key in keys:
                await eventually(lambda k=key, t=tracked: t.cached(k) in {None, storm.written[k]})
            # What is left after the last message was kept after the last change, so it stays right.
            assert [await tracked.read(key) for key in keys] == [storm.written[key] for key in keys]
            assert not tracked._reading
            assert not tracked._outdated


async def test_writer_reads_its_own_write(pair: tuple[Store, Tracked]) -> None:
    """Also while others read the same: each read after the write sees it."""
    store, tracked = pair
    done = asyncio.Event()

    async def others() -> None:
        while not done.is_set():
            await tracked.read("k")
            await asyncio.sleep(0)

    readers = [asyncio.create_task(others()) for _ in range(5)]
    for number in range(1, 300):
        await store.idempotent("HSET", "k", "n", number)
        tracked.forget("k")
        assert await tracked.read("k") == number
    done.set()
    await asyncio.gather(*readers)
