"""The stream that tells of new visits: /events/visits."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.counter import exactly_once
from app.counter import live as module
from app.counter.live import Live
from app.settings import Settings
from app.store.keys import HITS_CHANGED, HITS_TOTALS
from tests.helpers.event_streams import stream
from tests.helpers.logs import lines_of
from tests.helpers.service import Running, running
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import eventually

MakeSettings = Callable[..., Settings]


def live_of(service: Running) -> Live:
    live: Live = service.state["live"]
    return live


async def test_stream_starts_with_the_total(service: Running, client: httpx.AsyncClient) -> None:
    await client.get("/")
    async with stream(service) as reader:
        assert reader.status == 200
        assert reader.headers["content-type"].startswith("text/event-stream")
        assert reader.headers["cache-control"] == "no-store"
        await reader.tells(1)
        assert reader.text.startswith("retry: 2000\n\n")


async def test_stream_starts_with_zero(service: Running) -> None:
    async with stream(service) as reader:
        await reader.tells(0)


async def test_stream_shows_visits_of_other_workers(make_settings: MakeSettings) -> None:
    async with running(make_settings()) as one, running(make_settings()) as other, stream(one) as reader:
        await reader.tells(0)
        for total in range(1, 4):
            await other.client.get("/")
            await reader.tells(total)


async def test_a_worker_subscribes_once_for_all_its_streams(server: Valkey, make_settings: MakeSettings) -> None:
    async with running(make_settings()) as one, running(make_settings()) as other, AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(stream(worker)) for worker in (one, other) for _ in range(20)]
        await one.client.get("/")
        for reader in readers:
            await reader.tells(1)
        with server.client as client:
            assert client.pubsub_numsub(HITS_CHANGED) == [(HITS_CHANGED.encode(), 2)]


async def test_a_quiet_stream_says_that_it_is_still_there(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT", 0.02)
    async with stream(service) as reader:
        await reader.tells(0)
        await reader.says(": still here\n\n: still here\n\n")
        assert reader.totals == [0]


async def test_stream_ends_when_the_service_stops(service: Running) -> None:
    async with stream(service) as first, stream(service) as second:
        await first.tells(0)
        await second.tells(0)
        service.state["lifecycle"].stopping.set()
        for reader in (first, second):
            await reader.says("event: bye\ndata: {}\n\n")
            await eventually(lambda: first.ended and second.ended, what="the end of the streams")
    async with stream(service) as late:
        await late.says("event: bye")


async def test_slow_reader_gets_only_the_newest_total(service: Running, client: httpx.AsyncClient) -> None:
    live = live_of(service)
    async with aclosing(live.watch("home", asyncio.Event())) as slow, stream(service) as quick:
        assert await anext(slow) == 0
        for total in range(1, 6):
            await client.get("/")
            await quick.tells(total)
        assert await anext(slow) == 5


async def test_more_streams_than_allowed_are_refused(make_settings: MakeSettings, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with running(make_settings(max_streams=2, log_file=log)) as service:
        async with stream(service), stream(service) as second:
            await second.tells(0)
            refused = await service.client.get("/events/visits", headers={"Accept-Language": "zh"})
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) > 0
            assert "打开的实时连接过多" in refused.text
            (told,) = (line for line in lines_of(log) if line["level"] == "warning")
            assert (told["event"], told["max_streams"]) == ("a stream is refused: max_streams are open", 2)
        await eventually(lambda: live_of(service).watchers == 0, what="the streams' end")
        async with stream(service) as next_one:
            await next_one.tells(0)


async def test_a_head_request_is_answered_without_a_stream(service: Running) -> None:
    head = await service.client.head("/events/visits")
    assert head.status_code == 200
    assert head.headers["content-type"].startswith("text/event-stream")
    assert live_of(service).watchers == 0


async def test_stream_continues_after_an_outage(
    make_settings: MakeSettings, own_server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exactly_once, "REPLY_TIMEOUT", 0.1)
    async with running(make_settings(redis_url=own_server.url)) as service, stream(service) as reader:
        await reader.tells(0)
        own_server.kill()
        assert (await service.client.get("/")).status_code == 200
        async with stream(service) as late:
            await late.tells(0)
            own_server.start()
            await reader.tells(1)
            await late.tells(1)


@pytest.mark.slow
async def test_stream_opened_during_an_outage_recovers(make_settings: MakeSettings, own_server: Valkey) -> None:
    with own_server.client as client:
        client.hset(HITS_TOTALS, "home", 41)
    own_server.kill()
    settings = make_settings(redis_url=own_server.url, redis_timeout=1)
    async with running(settings) as service, stream(service) as reader:
        await reader.says("retry")
        own_server.start()
        await reader.tells(41)


async def test_stream_survives_unreadable_totals(server: Valkey, service: Running, client: httpx.AsyncClient) -> None:
    with server.client as redis:
        redis.hset(HITS_TOTALS, "home", "many")
        async with stream(service) as reader:
            await reader.says("retry")
            assert (await client.get("/api/visits")).status_code == 503
            redis.hset(HITS_TOTALS, "home", 7)
            await reader.tells(7)


async def test_missed_announcement_is_noticed(
    server: Valkey, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT", 0.2)
    async with stream(service) as reader:
        await reader.tells(0)
        with server.client as client:
            client.hset(HITS_TOTALS, "home", 3)
        await reader.tells(3)


@pytest.mark.slow
async def test_a_busy_site_announces_and_reads_a_few_times_a_second(
    server: Valkey, service: Running, client: httpx.AsyncClient
) -> None:
    def calls(command: str) -> int:
        with server.client as redis:
            stats: Any = redis.info("commandstats")
        return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])

    async with stream(service) as reader:
        await reader.tells(0)
        published, read = calls("publish"), calls("hmget")
        started = asyncio.get_running_loop().time()
        for _ in range(100):
            await client.get("/")
        await reader.tells(100)
        tenths = (asyncio.get_running_loop().time() - started) / module.UPDATE_INTERVAL
        assert calls("publish") - published <= tenths + 1
        assert calls("hmget") - read <= tenths + 1


async def test_totals_are_not_read_without_streams(server: Valkey, service: Running, client: httpx.AsyncClient) -> None:
    async with stream(service) as reader:
        await reader.tells(0)
    with server.client as redis:

        def calls(command: str) -> int:
            stats: Any = redis.info("commandstats")
            return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])

        redis.config_resetstat()
        for announced in range(1, 5):
            await client.get("/")
            await eventually(lambda announced=announced: calls("publish") == announced, what="the announcement")
        async with stream(service) as reader:
            await reader.tells(4)
        assert calls("hmget") <= 2
