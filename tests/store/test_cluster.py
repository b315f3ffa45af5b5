"""A Redis Cluster: every command goes to the node that has its key, wherever that has moved to."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio.connection import AbstractConnection
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError

from app.store.client import ResponseError, Store
from tests.helpers.sockets import free_port
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import answers, eventually, refused
from tests.store.cluster import Node, Nodes, cluster, keys_on
from tests.store.conftest import Opened, tracked
from tests.store.fake import fake


@pytest.fixture(scope="module")
def nodes(short_folder: Path) -> Iterator[Nodes]:
    with cluster(short_folder) as nodes:
        yield nodes


def errors(node: Node, name: str) -> int:
    """How often the node has answered with this error."""
    with node.client as client:
        stats = client.info("errorstats")
    return int(stats.get(f"errorstat_{name}", {"count": 0})["count"])


def begin_move(key: str, source: Node, target: Node) -> None:
    target.ask("CLUSTER SETSLOT", key_slot(key.encode()), "IMPORTING", source.id)
    source.ask("CLUSTER SETSLOT", key_slot(key.encode()), "MIGRATING", target.id)


def move_keys(source: Node, target: Node, *keys: str) -> None:
    source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)


async def test_keys_are_spread_over_nodes(nodes: Nodes, opened: Opened) -> None:
    keys = [key for number in range(3) for key in keys_on(number, 20)]
    async with opened(nodes.url) as store:
        assert await asyncio.gather(*(store.once("INCR", key) for key in keys)) == [1] * 60
        assert await asyncio.gather(*(store.idempotent("GET", key.encode()) for key in keys)) == [b"1"] * 60
        assert store.connections == 3
    assert [node.ask("DBSIZE") for node in nodes] == [20, 20, 20]
    assert [errors(node, "MOVED") for node in nodes] == [0, 0, 0]


async def test_one_reachable_node_finds_the_others(nodes: Nodes, opened: Opened) -> None:
    url = f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{nodes[1].port}"
    async with opened(url) as store:
        for number in range(3):
            assert await store.idempotent("SET", keys_on(number, 1, "found")[0], "v") == b"OK"


async def test_a_script_goes_to_the_node_of_its_first_key(nodes: Nodes, opened: Opened) -> None:
    script = "return redis.call('INCRBY', KEYS[1], ARGV[1]) + redis.call('INCRBY', KEYS[2], ARGV[1])"
    async with opened(nodes.url) as store:
        for tag in ("a", "b", "c", "d"):
            assert await store.once("EVAL", script, 2, f"{{{tag}}}:x", f"{{{tag}}}:y", 5) == 10
        assert await store.idempotent("EVAL", "return 7", 0) == 7
        with pytest.raises(ResponseError, match="same slot"):
            await store.once("EVAL", script, 2, keys_on(0, 1)[0], keys_on(1, 1)[0], 5)


async def test_commands_without_a_key_go_anywhere(nodes: Nodes, opened: Opened) -> None:
    async with opened(nodes.url) as store:
        assert await store.idempotent("PING") == b"PONG"
        assert b"cluster_enabled:1" in await store.idempotent("INFO", "cluster")
        assert isinstance(await store.idempotent("DBSIZE"), int)
        assert await store.once("PUBLISH", "nobody-listens", "") == 0


async def test_a_message_reaches_subscribers_at_every_node(nodes: Nodes, opened: Opened) -> None:
    async with opened(nodes.url) as store, tracked(store) as tracking:
        channels = [tracking.subscribe(key) for number in range(3) for key in keys_on(number, 1, "channel")]
        assert await asyncio.gather(*(anext(channel) for channel in channels)) == [None] * 3
        for number, key in enumerate(keys_on(number, 1, "channel")[0] for number in range(3)):
            await store.once("PUBLISH", key, number)
        assert await asyncio.gather(*(anext(channel) for channel in channels)) == [b"0", b"1", b"2"]
        for channel in channels:
            await channel.aclose()


async def test_a_slot_moves_while_it_is_in_use(nodes: Nodes, opened: Opened) -> None:
    source, target = nodes[0], nodes[1]
    tag = keys_on(0, 1, "moved")[0]
    keys = [f"{{{tag}}}:{n}" for n in range(20)]
    moved = asyncio.Event()
    async with opened(nodes.url) as store:

        async def count(key: str) -> None:
            told = 0
            while not moved.is_set():
                told += 1
                assert await store.once("INCR", key) == told

        counting = asyncio.gather(*(count(key) for key in keys))
        await eventually(lambda: store.commands > 200)
        await asyncio.to_thread(begin_move, tag, source, target)
        assert await store.once("INCR", f"{{{tag}}}:new") == 1  # only the node that is to have it may make it
        for key in keys:
            await asyncio.to_thread(move_keys, source, target, key)
        await eventually(lambda: errors(source, "ASK") > 20)
        await asyncio.to_thread(nodes.give, tag, target, source)
        await eventually(lambda: errors(source, "MOVED") > 0)
        sent = store.commands
        await eventually(lambda: store.commands > sent + 200)
        moved.set()
        await counting
        redirected = errors(source, "MOVED")
        assert await store.idempotent("GET", f"{{{tag}}}:new") == b"1"
        assert errors(source, "MOVED") == redirected <= len(keys)  # it has learned where they are


async def test_keys_that_are_half_moved_are_waited_for(nodes: Nodes, opened: Opened) -> None:
    source, target = nodes[0], nodes[2]
    tag = keys_on(0, 1, "half")[0]
    here, there = f"{{{tag}}}:here", f"{{{tag}}}:there"
    async with opened(nodes.url) as store:
        await store.once("MSET", here, 1, there, 2)
        begin_move(tag, source, target)
        move_keys(source, target, there)
        both = asyncio.create_task(store.once("MSET", here, 3, there, 4))
        await eventually(lambda: errors(source, "TRYAGAIN") + errors(target, "TRYAGAIN") > 1)
        assert not both.done()
        move_keys(source, target, here)
        nodes.give(tag, target, source)
        assert await both == b"OK"
        assert await store.idempotent("MGET", here, there) == [b"3", b"4"]


async def test_a_move_that_takes_longer_than_the_timeout_counts_as_away(nodes: Nodes, opened: Opened) -> None:
    tag = keys_on(0, 1, "stuck")[0]
    here, there = f"{{{tag}}}:here", f"{{{tag}}}:there"
    async with opened(nodes.url, timeout=2) as store:
        await answers(store, "MSET", here, 1, there, 2)
        begin_move(tag, nodes[0], nodes[1])
        move_keys(nodes[0], nodes[1], there)
        away = await refused(store.once("MSET", here, 3, there, 4))
        assert not away.sent
        assert "TRYAGAIN" in str(away) or "during rehashing" in str(away)
        move_keys(nodes[0], nodes[1], here)
        nodes.give(tag, nodes[1], nodes[0])
        assert await answers(store, "MGET", here, there) == [b"1", b"2"]


@pytest.mark.slow
async def test_node_recovers(nodes: Nodes, opened: Opened) -> None:
    lost, kept = keys_on(2, 1, "lost")[0], keys_on(0, 1, "kept")[0]
    async with opened(nodes.url) as store:
        assert await answers(store, "GET", lost) is None
        with nodes[2].client as client:
            client.set(lost, "v")
            client.waitaof(1, 0, 50_000)  # while a sync is under way, even what was acknowledged may wait in memory
        await asyncio.to_thread(nodes[2].kill)
        await refused(store.idempotent("GET", lost))
        assert await answers(store, "SET", kept, "v") == b"OK"
        await asyncio.to_thread(nodes[2].start)
        assert await answers(store, "GET", lost) == b"v"
    nodes.wait()


async def test_server_without_cluster_mode_is_named(server: Valkey, opened: Opened) -> None:
    port = free_port()
    with server.client as client:
        client.config_set("port", port)
        async with opened(f"redis+cluster://127.0.0.1:{port}") as store:
            assert "cluster support disabled" in str(await refused(store.idempotent("PING")))
        client.config_set("port", 0)


async def test_a_node_outside_the_cluster_is_not_believed(nodes: Nodes, opened: Opened) -> None:
    async with fake(lambda _: b"*0\r\n") as stranger:
        alone, both = f"redis+cluster://127.0.0.1:{stranger.port}", f"{nodes.url},127.0.0.1:{stranger.port}"
        async with opened(alone) as store:
            assert "not part of a cluster yet" in str(await refused(store.idempotent("PING")))
        async with opened(both) as store:
            assert await store.idempotent("PING") == b"PONG"


class Wandering:
    """A cluster of one node that is at another place at every look, and never to be reached."""

    def __init__(self) -> None:
        self.number = 0

    def locate(self, key: str | bytes | float) -> str:
        return f"place-{self.number}"

    def nodes(self) -> set[str]:
        return {self.locate("")}

    async def refresh(self) -> None:
        self.number += 1

    async def connect(self, node: str) -> AbstractConnection:
        raise RedisConnectionError(f"nobody is at {node}")


async def test_removed_nodes_are_forgotten() -> None:
    async with Store(Wandering(), timeout=0.05) as store:
        for _ in range(6):
            assert "nobody is at place-" in str(await refused(store.idempotent("PING")))
        await eventually(lambda: sum(task.get_name().startswith("redis ") for task in asyncio.all_tasks()) <= 3)
