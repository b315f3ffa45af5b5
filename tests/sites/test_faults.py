"""Redis is killed, cut back or swallows answers under hits of many sites: totals, pages and days are right.

In full by `make faults`.
"""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import redis

from app.counter.journal import MIN_KEEP_SECONDS
from app.sites.counting_script import PAGES_IN_BLOCK
from app.sites.models import bucket_of
from app.store import keys
from tests.counter.test_faults_rollback import AT_ONCE, UNSYNCED, fail_over, follow, sync
from tests.helpers.fault_scenarios import serving, times
from tests.helpers.proxy import proxy
from tests.helpers.service import Process
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey, valkey
from tests.helpers.waiting import eventually
from tests.sites.conftest import CHROME

pytestmark = [pytest.mark.faults, pytest.mark.slow]
SITES = [f"fault{number:05d}" for number in range(20)]
PAGES = [f"/{number}" for number in range(5)]
LOST = (httpx.TransportError, OSError)


class Hits:
    """What visitors reported, and what they were told."""

    def __init__(self) -> None:
        self.answered: Counter[tuple[str, str]] = Counter()
        self.numbers: dict[str, list[int]] = {site: [] for site in SITES}
        self.unanswered = 0
        self.stopping = False

    @property
    def told(self) -> int:
        return sum(map(len, self.numbers.values()))

    async def visit(self, client: httpx.AsyncClient, address: str) -> None:
        headers = {"Accept": "application/json", "User-Agent": CHROME, "X-Forwarded-For": address}
        while not self.stopping:
            site, page = random.choice(SITES), random.choice(PAGES)
            try:
                answer = await client.get(f"/c/{site}", params={"p": page}, headers=headers)
            except LOST:
                self.unanswered += 1
                await asyncio.sleep(0.02)
                continue
            assert answer.status_code == 200, answer.text
            self.answered[site, page] += 1
            if answer.json()["site"] is not None:
                self.numbers[site].append(answer.json()["site"])
            else:
                await asyncio.sleep(0.01)

    async def more(self, count: int = 300) -> None:
        enough = self.told + count
        await eventually(lambda: self.told >= enough, what=f"{count} more numbers")

    def assert_distinct(self) -> None:
        for site, numbers in self.numbers.items():
            assert len(set(numbers)) == len(numbers), f"a number of {site} was told twice"


def make_sites(server: Valkey) -> None:
    settings = orjson.dumps({"name": "Faults", "hosts": ["blog.example"], "time_zone": "UTC"})
    with server.client as client:
        for site in SITES:
            record = {"settings": settings, "owner": "nobody", "created": time.time(), "revision": 0}
            client.hset(keys.site(bucket_of(site), site), mapping=record)
        client.execute_command("WAITAOF", 1, 0, 5000)


@asynccontextmanager
async def under_hits(service: Process, visitors: int = 8) -> AsyncIterator[Hits]:
    url, hits = await asyncio.to_thread(service.url), Hits()
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        coming = [asyncio.create_task(hits.visit(client, f"198.51.100.{number}")) for number in range(visitors)]
        try:
            await hits.more()
            yield hits
        finally:
            hits.stopping = True
            await asyncio.gather(*coming)


def counted(client: "redis.Redis") -> dict[str, Counter[tuple[str, str]]]:
    """What Redis has, by site and page: in all, by day, by month; and by site alone."""
    found: dict[str, Counter[tuple[str, str]]] = {"pt": Counter(), "d": Counter(), "m": Counter(), "site": Counter()}
    with client:
        for site in SITES:
            start = keys.site_counts(bucket_of(site), site, "")
            listed: Any = client.lrange(f"{start}names", 0, -1)
            names = [name.decode() for name in listed]
            assert len(names) <= PAGES_IN_BLOCK
            for kind in ("pt", "d", "m"):
                for key in client.keys(f"{start}{kind}:*"):
                    for field, number in client.hgetall(key).items():
                        if int(field) % 2 == 0:
                            found[kind][site, names[int(field) // 2]] += int(number)
            for kind in ("days", "hours"):
                hashes: Any = [client.hgetall(key) for key in client.keys(f"{start}{kind}:*")]
                sums = [int(n) for each in hashes for field, n in each.items() if not field.startswith(b"u")]
                assert sum(sums) == int(client.hget(f"{start}totals", "visits") or 0)
            found["site"][site, ""] = int(client.hget(f"{start}totals", "visits") or 0)
    return found


def total(client: "redis.Redis") -> int:
    try:
        return counted(client)["site"].total()
    except (redis.ConnectionError, redis.TimeoutError, AssertionError):
        return -1


async def reckon(service: Process, hits: Hits, server: Valkey) -> None:
    """Each answered hit is in every count once, when all is quiet and the service has ended."""
    hits.stopping = True
    hits.assert_distinct()
    await asyncio.sleep(0.5)
    answered = hits.answered.total()
    await eventually(lambda: total(server.client) >= hits.answered.total(), what=f"{answered} hits")
    assert await asyncio.to_thread(service.end) == 0, service.output
    found = counted(server.client)
    for kind in ("pt", "d", "m"):
        assert found[kind] == hits.answered, kind
    assert found["site"].total() == hits.answered.total()


@pytest.fixture
def trusting() -> dict[str, str]:
    return {"trusted_proxies": "127.0.0.1"}


@pytest.mark.slow
async def test_kill_9_of_redis_loses_and_doubles_no_hit(
    tmp_path: Path, short_folder: Path, trusting: dict[str, str]
) -> None:
    with valkey(short_folder / "sites-kill") as server:
        make_sites(server)
        async with serving(tmp_path, redis_url=server.url, **trusting) as service, under_hits(service) as hits:
            for _ in range(times(3, 30)):
                await asyncio.to_thread(server.kill)
                await asyncio.sleep(random.uniform(0, 0.3))
                await asyncio.to_thread(server.start)
                await hits.more()
            await reckon(service, hits, server)


@pytest.mark.slow
async def test_power_loss_loses_and_doubles_no_hit(
    tmp_path: Path, short_folder: Path, trusting: dict[str, str]
) -> None:
    with valkey(short_folder / "sites-power") as server:
        make_sites(server)
        async with serving(tmp_path, redis_url=server.url, **trusting) as service, under_hits(service) as hits:
            for _ in range(times(2, 20)):
                begun = time.monotonic()
                file, synced = await asyncio.to_thread(sync, server)
                await asyncio.sleep(random.uniform(0.3, UNSYNCED))
                await asyncio.to_thread(server.kill)
                if time.monotonic() - begun < MIN_KEEP_SECONDS:
                    os.truncate(file, synced)
                await asyncio.to_thread(server.start)
                await hits.more()
            await reckon(service, hits, server)


@pytest.mark.slow
async def test_fail_over_to_a_replica_that_lagged_loses_and_doubles_no_hit(
    tmp_path: Path, short_folder: Path, trusting: dict[str, str]
) -> None:
    primary, replica = (Valkey(short_folder / f"sites-{side}", *AT_ONCE).start() for side in ("left", "right"))
    try:
        make_sites(primary)
        async with proxy(primary.socket) as link, proxy(primary.socket) as front:
            await follow(replica, link)
            async with serving(tmp_path, redis_url=front.url, **trusting) as service, under_hits(service) as hits:
                for round_ in range(times(1, 6)):
                    link.freeze()
                    await asyncio.sleep(random.uniform(3.5, 5) if round_ % 2 == 0 else random.uniform(0.2, 1))
                    await fail_over(primary, replica, link, front)
                    primary, replica = replica, primary
                    await hits.more()
                    await asyncio.to_thread(replica.start)
                    await follow(replica, link)
                await reckon(service, hits, primary)
    finally:
        primary.kill()
        replica.kill()


@pytest.mark.slow
async def test_answers_lost_on_the_way_count_once(tmp_path: Path, server: Valkey, trusting: dict[str, str]) -> None:
    make_sites(server)
    async with (
        proxy(server.socket) as between,
        serving(tmp_path, redis_url=between.url, **trusting) as service,
        under_hits(service) as hits,
    ):
        for lost in range(1, times(10, 100) + 1):
            between.lose_answer_to(b"EVALSHA")
            await eventually(lambda lost=lost: between.lost == lost, what="an answer to lose")
        await hits.more(10)
        await reckon(service, hits, server)


@pytest.mark.slow
async def test_while_redis_is_away_hits_are_answered_at_once_and_counted_later(
    tmp_path: Path, short_folder: Path, trusting: dict[str, str]
) -> None:
    with valkey(short_folder / "sites-away") as server:
        make_sites(server)
        async with serving(tmp_path, redis_url=server.url, **trusting) as service, under_hits(service) as hits:
            server.send(signal.SIGSTOP)
            try:
                await asyncio.sleep(times(4, 20))
                before = hits.answered.total()
                await eventually(lambda: hits.answered.total() > before, what="answers while Redis is frozen")
            finally:
                server.send(signal.SIGCONT)
            await hits.more(50)
            await reckon(service, hits, server)
