"""What is killed, cut off or swallowed, and the count that is right all the same. In full by `make faults`."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from app.server.workers import STOP_LIMIT
from app.store.embedded import Embedded
from tests.helpers.fault_scenarios import reckon, serving, times, total, under_load
from tests.helpers.proxy import proxy
from tests.helpers.service import Process
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey, valkey
from tests.helpers.waiting import eventually

pytestmark = pytest.mark.faults
AS_JSON = {"Accept": "application/json"}


@pytest.fixture
def doomed(short_folder: Path, request: pytest.FixtureRequest) -> Any:
    """A Valkey of the test's own, to be killed."""
    with valkey(short_folder / f"doomed{abs(hash(request.node.name)) % 10_000}") as server:
        yield server


@pytest.fixture
async def service(tmp_path: Path, doomed: Valkey) -> AsyncIterator[Process]:
    async with serving(tmp_path, redis_url=doomed.url) as service:
        yield service


@pytest.mark.slow
async def test_kill_9_of_redis_loses_and_doubles_nothing(service: Process, doomed: Valkey) -> None:
    async with under_load(service) as visits:
        for round_ in range(times(4, 30)):
            await asyncio.to_thread(doomed.kill)
            await asyncio.sleep(random.uniform(0, 0.2))
            await asyncio.to_thread(doomed.start)
            if round_ % 3 == 2:  # at times the next one comes while it is still being found out what was lost
                await asyncio.sleep(random.uniform(0, 1))
            else:
                await visits.told(1000)
    visits.assert_distinct()
    await reckon(service, visits, doomed.client)


@pytest.mark.slow
async def test_kill_9_of_the_embedded_server_loses_and_doubles_nothing(tmp_path: Path, short_folder: Path) -> None:
    data = short_folder / "embedded"
    client = redis.Redis(unix_socket_path=str(data / "valkey.sock"), socket_timeout=PATIENCE)
    embedded = Embedded(data)
    async with serving(tmp_path, data_dir=str(data)) as service:
        async with under_load(service) as visits:
            for _ in range(times(2, 30)):
                os.kill(_pid(client), signal.SIGKILL)
                await visits.told(1000)
        visits.assert_distinct()
        embedded.hold()  # or it would end soon after the service
        await reckon(service, visits, client)
    embedded.release()
    await eventually(lambda: not (data / "valkey.sock").exists(), what="the end of the embedded server")


def _pid(client: "redis.Redis") -> int:
    with client:
        info: Any = client.info("server")
    return int(info["process_id"])


@pytest.mark.slow
@pytest.mark.parametrize("stop", [Valkey.kill, lambda server: server.send(signal.SIGSTOP)], ids=["gone", "frozen"])
async def test_visits_during_an_outage_are_counted_later(service: Process, doomed: Valkey, stop: Any) -> None:
    seconds = times(3, 20)
    async with under_load(service, visitors=4) as visits:
        await asyncio.to_thread(stop, doomed)
        back_at = time.monotonic() + seconds
        async with httpx.AsyncClient(base_url=service.url(), timeout=PATIENCE) as visitor:
            page, api = await asyncio.gather(visitor.get("/"), visitor.get("/api/visits"))
        await asyncio.sleep(max(back_at - time.monotonic(), 0))
        assert visits.unknown > 0
        if stop is Valkey.kill:
            await asyncio.to_thread(doomed.start)
        else:
            doomed.send(signal.SIGCONT)
        await visits.told()
    assert page.status_code == 200
    assert "The number is temporarily unavailable" in page.text
    assert api.status_code == 503
    assert int(api.headers["retry-after"]) > 0
    visits.unknown += 1  # the page's visitor
    visits.assert_distinct()
    await reckon(service, visits, doomed.client)


@pytest.mark.slow
async def test_answers_lost_on_the_way_count_once(tmp_path: Path, server: Valkey) -> None:
    async with proxy(server.socket) as between, serving(tmp_path, redis_url=between.url) as service:
        async with under_load(service) as visits:
            for lost in range(1, times(20, 100) + 1):
                between.lose_answer_to(b"EVALSHA")
                await eventually(lambda lost=lost: between.lost == lost, what="an answer to lose")
            await visits.told(1)
        visits.assert_distinct()
        await reckon(service, visits, server.client)


@pytest.mark.slow
async def test_kill_9_of_a_worker_loses_no_number_that_was_told(service: Process, doomed: Valkey) -> None:
    async with under_load(service) as visits:
        for _ in range(times(2, 10)):
            victim = service.workers[0]
            os.kill(victim, signal.SIGKILL)
            await eventually(lambda: len(set(service.workers) - {victim}) == 2, what="its successor")  # noqa: B023
            await visits.told()
    visits.assert_distinct()
    counted = total(doomed.client)
    assert len(visits.numbers) <= counted <= visits.answered + visits.unanswered


@pytest.mark.slow
async def test_a_stop_under_load_keeps_every_answered_visit(service: Process, doomed: Valkey) -> None:
    async with under_load(service, visitors=16) as visits:
        assert await asyncio.to_thread(service.end) == 0
        visits.stop()
    visits.assert_distinct()
    assert visits.answered <= total(doomed.client) <= visits.answered + visits.unanswered


@pytest.mark.slow
async def test_a_stop_with_a_hundred_streams_open_is_quick(service: Process) -> None:
    async with httpx.AsyncClient(base_url=service.url(), limits=httpx.Limits(max_connections=None)) as visitor:
        opened = 0

        async def stay() -> str:
            nonlocal opened
            text = ""
            async with visitor.stream("GET", "/events/visits") as stream:
                async for line in stream.aiter_lines():
                    opened += line.startswith("retry")
                    text += line
            return text

        streams = [asyncio.create_task(stay()) for _ in range(100)]
        await eventually(lambda: opened == 100, what="100 streams")
        started = time.monotonic()
        assert await asyncio.to_thread(service.end) == 0
        seconds = time.monotonic() - started
        texts = await asyncio.gather(*streams)
    print(f"ended in {seconds:.2f} s with 100 streams open")
    assert seconds < STOP_LIMIT  # 0.3 s where nothing else runs
    assert all("event: bye" in text for text in texts)
