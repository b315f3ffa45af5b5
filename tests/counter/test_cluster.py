"""The counter on a Redis Cluster, where one node has the counters and others answer for themselves."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.counter.store import CounterStore
from app.settings import Settings
from app.store.keys import HITS_TOTALS
from tests.counter.conftest import stores
from tests.helpers.service import running
from tests.helpers.waiting import eventually
from tests.store.cluster import Node, Nodes, cluster


@pytest.fixture(scope="module")
def nodes(short_folder: Path) -> Iterator[Nodes]:
    """A cluster whose counters are on another node than what has no key at all."""
    with cluster(short_folder / "counters") as nodes:
        nodes.give(HITS_TOTALS, nodes[2], nodes.owner(HITS_TOTALS))
        yield nodes


@pytest.fixture
def keeper(nodes: Nodes) -> Node:
    """The node that has the counters."""
    return nodes[2]


@pytest.mark.slow
async def test_visits_are_counted_and_watched_on_a_cluster(
    nodes: Nodes, keeper: Node, make_settings: Callable[..., Settings]
) -> None:
    async with running(make_settings(redis_url=nodes.url)) as service:
        told = [await service.client.get("/", headers={"Accept": "application/json"}) for _ in range(3)]
        assert [answer.json() for answer in told] == [{"visits": 1}, {"visits": 2}, {"visits": 3}]
        assert (await service.client.get("/api/visits")).json() == {"visits": 3}
    assert keeper.ask("HGET", HITS_TOTALS, "home") == b"3"


async def test_durability_is_read_from_the_node_of_the_counters(nodes: Nodes, keeper: Node) -> None:
    async with stores(nodes.url) as (store, barrier):
        counter = CounterStore(store, barrier)
        with keeper.client as client:
            assert (await counter.server_info()).history == client.info("replication")["master_replid"]
        keeper.ask("CONFIG SET", "appendfsync", "always")
        await counter.apply("w", 1, ["home", 1])
        assert await eventually(lambda: held(counter), what="connections to every node asked, and a written file")
        keeper.ask("CONFIG SET", "appendfsync", "no")
        await counter.apply("w", 2, ["home", 1])
        assert not await held(counter)


async def held(counter: CounterStore) -> bool:
    _, held = await counter.settled("w", file=True, replicas=False)
    return held
