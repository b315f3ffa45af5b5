"""What a server promises to keep, and whether it is still the one that acknowledged."""

import math
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.counter import durability as module
from app.counter.batch_store import ServerInfo
from app.counter.durability import Durability
from app.counter.store import CounterStore
from app.store.client import Store
from tests.counter.conftest import counting, stores
from tests.counter.redis_side import totals
from tests.helpers.proxy import proxy
from tests.helpers.valkey import Valkey, valkey
from tests.helpers.waiting import eventually


@pytest.fixture
def replica(short_folder: Path, request: pytest.FixtureRequest) -> Iterator[Valkey]:
    replica = Valkey(short_folder / f"replica{abs(hash(request.node.name)) % 10**8}").start()
    yield replica
    replica.kill()


@pytest.fixture
async def counter(own_server: Valkey) -> AsyncIterator[CounterStore]:
    with own_server.client as client:
        client.config_set("repl-diskless-sync-delay", 0)
    async with stores(own_server.url) as (store, barrier):
        yield CounterStore(store, barrier)


async def follow(replica: Valkey, port: int) -> None:
    with replica.client as client:
        client.replicaof("127.0.0.1", str(port))
        await eventually(lambda: client.info("replication")["master_link_status"] == "up", what="the replica")


async def test_server_info_gives_its_durability(counter: CounterStore, own_server: Valkey, replica: Valkey) -> None:
    alone = await counter.server_info()
    assert alone == ServerInfo(file=True, replicas=False, history=alone.history)
    assert len(alone.history) == 40
    async with proxy(own_server.socket) as link:
        await follow(replica, link.port)
        assert (await counter.server_info()).replicas


async def test_server_without_a_run_id_is_not_the_same(counter: CounterStore, own_server: Valkey) -> None:
    server = Durability(counter)
    await server.refresh()
    acknowledged = time.monotonic()
    assert await server.same_since(acknowledged)
    with own_server.client as client:
        client.execute_command("ACL", "SETUSER", "default", "-info")
    assert await counter.server_info() == ServerInfo(file=True, replicas=False, history="")
    assert not await server.same_since(acknowledged)
    assert not await server.same_since(time.monotonic())


async def test_a_server_is_the_same_until_it_is_started_again(counter: CounterStore, own_server: Valkey) -> None:
    server = Durability(counter)
    before = time.monotonic()
    await server.refresh()
    assert not await server.same_since(before), "what it was before the first look nobody knows"
    acknowledged = time.monotonic()
    assert await server.same_since(acknowledged)
    own_server.kill()
    own_server.start()
    assert not await server.same_since(acknowledged)
    assert await server.same_since(time.monotonic())


async def test_file_and_replica_settle_batches(counter: CounterStore, own_server: Valkey, replica: Valkey) -> None:
    with own_server.client as client:
        client.config_set("appendfsync", "always")
    async with proxy(own_server.socket) as link:
        await follow(replica, link.port)
        await counter.apply("w", 1, ["home", 1])
        assert await eventually(lambda: settles(counter), what="the replica's acknowledgement")
        link.freeze()
        await counter.apply("w", 2, ["home", 1])
        assert await counter.settled("w", file=True, replicas=True) == (2, False)
        assert await eventually(lambda: settles(counter, replicas=False), what="the file that is written")
        link.thaw()
        assert await eventually(lambda: settles(counter), what="the replica's acknowledgement")


async def settles(counter: CounterStore, *, replicas: bool = True) -> bool:
    _, held = await counter.settled("w", file=True, replicas=replicas)
    return held


async def test_a_replica_that_has_gone_is_waited_for_for_a_while(
    counter: CounterStore, own_server: Valkey, replica: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECK_INTERVAL", 0.0)
    server = Durability(counter)
    async with proxy(own_server.socket) as link:
        await follow(replica, link.port)
        await counter.apply("w", 1, ["home", 1])
        await eventually(lambda: held(server), what="the replica's acknowledgement")
        replica.kill()
    with own_server.client as client:
        await eventually(lambda: client.info("replication")["connected_slaves"] == 0, what="the replica's end")
    assert not await held(server)
    monkeypatch.setattr(module, "REPLICA_MEMORY", 0.0)
    await eventually(lambda: held(server), what="the file that is written")


async def held(server: Durability) -> bool:
    return (await server.settled("w"))[1]


async def test_a_server_without_a_file_is_believed_at_once(short_folder: Path) -> None:
    with valkey(short_folder / "nofile", "--appendonly", "no") as plain:
        async with stores(plain.url) as (store, barrier):
            counter = CounterStore(store, barrier)
            await counter.apply("w", 1, ["home", 1])
            assert (await counter.server_info()).file is False
            assert await Durability(counter).settled("w") == (1, True)
            assert await counter.settled("w", file=True, replicas=False) == (1, True), "it refuses WAITAOF"


async def test_barrier_on_a_new_connection_settles_nothing(own_server: Valkey) -> None:
    """A new connection has written nothing, so every barrier holds for it."""

    class Reconnects(Store):
        async def idempotent(self, *command: Any, near: str = "") -> Any:
            if command[0] == "WAITAOF":
                with own_server.client as client:
                    client.client_kill_filter(_type="normal", skipme=True)
                await eventually(lambda: self.connections > before, what="a new connection")
            return await super().idempotent(*command, near=near)

    async with stores(own_server.url) as (store, barrier):
        await CounterStore(store, barrier).apply("w", 1, ["home", 1])
        async with Reconnects(barrier._topology, 5) as reconnects:
            before = reconnects.connections
            assert await CounterStore(store, reconnects).settled("w", file=True, replicas=False) == (1, False)


async def test_the_journal_is_emptied_as_the_server_writes_down(server: Valkey) -> None:
    async with counting(server.url) as tally:
        for _ in range(3):
            await tally.hit("home")
        assert len(tally.journal) == 3
        for entry in tally.journal.after(0):
            entry.acknowledged = -math.inf
        await eventually(lambda: len(tally.journal) == 0, what="an empty journal")
        assert await tally.hit("home") == 4
    assert totals(server) == {"home": 4}
