"""`/live` and `/ready`, as an orchestrator asks them."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.counter.tally import Tally
from app.settings import Settings
from tests.counter.streams import stream
from tests.helpers.service import Running, running
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import valkey


async def ready_says(client: httpx.AsyncClient, status: int) -> dict[str, Any]:
    """The answer of `/ready`, once it has this status."""
    async with asyncio.timeout(PATIENCE):
        while (answer := await client.get("/ready")).status_code != status:
            await asyncio.sleep(0.02)
    body: dict[str, Any] = answer.json()
    return body


async def test_both_say_yes_when_all_is_well(client: httpx.AsyncClient) -> None:
    assert (await client.get("/live")).json() == {"status": "live"}
    assert (await client.get("/ready")).json() == {"status": "ready"}


async def test_neither_is_kept_by_a_cache(client: httpx.AsyncClient) -> None:
    for path in ("/live", "/ready"):
        assert (await client.get(path)).headers["cache-control"] == "no-store"


async def test_ready_says_why_not_and_recovers_when_redis_goes_and_comes_back(
    make_settings: Callable[..., Settings], short_folder: Path
) -> None:
    with valkey(short_folder / "health") as server:
        async with running(make_settings(redis_url=server.url, redis_timeout=0.3)) as service:
            await ready_says(service.client, 200)
            server.kill()
            answer = await ready_says(service.client, 503)
            assert answer["status"] == "unavailable"
            assert answer["reason"].startswith("redis: ")
            assert (await service.client.get("/live")).status_code == 200
            server.start()
            await ready_says(service.client, 200)


async def test_ready_says_why_not_when_redis_lets_us_in_and_not_read(
    make_settings: Callable[..., Settings], short_folder: Path
) -> None:
    with valkey(short_folder / "health") as server, server.client as client:
        async with running(make_settings(redis_url=server.url)) as service:
            await ready_says(service.client, 200)
            client.execute_command("ACL", "SETUSER", "default", "-exists")
            assert "permissions" in (await ready_says(service.client, 503))["reason"]


async def test_ready_says_no_while_stopping_but_requests_are_answered(service: Running) -> None:
    service.state["lifecycle"].stopping.set()
    answer = await service.client.get("/ready")
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable", "reason": "stopping"})
    assert (await service.client.get("/live")).status_code == 200
    assert (await service.client.get("/")).status_code == 200


async def test_a_service_that_cannot_count_any_more_asks_to_be_started_again(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(tally: Tally) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(Tally, "run", broken)
    async with running(make_settings()) as service:
        answers = [await service.client.get(path) for path in ("/live", "/ready")]
        assert [answer.status_code for answer in answers] == [503, 503]
        assert {answer.json()["reason"] for answer in answers} == {"background work has stopped: see the log"}
    assert "a mistake of ours" in capsys.readouterr().err


async def test_what_redis_forbids_for_a_while_is_done_when_it_allows_it(
    make_settings: Callable[..., Settings], short_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with valkey(short_folder / "forbidding") as server, server.client as client:
        client.execute_command("ACL", "SETUSER", "default", "-@all", "+hello", "+client", "+ping", "+acl")
        async with running(make_settings(redis_url=server.url)) as service, stream(service) as reader:
            assert (await service.client.get("/live")).status_code == 200
            async with asyncio.timeout(PATIENCE):
                while not {"evalsha", "hmget", "subscribe"} <= {entry["object"] for entry in client.acl_log()}:
                    await asyncio.sleep(0.02)
            client.execute_command("ACL", "SETUSER", "default", "+@all")
            await reader.tells(0)
            assert (await service.client.get("/live")).status_code == 200
            async with asyncio.timeout(PATIENCE):
                while "/setup?token=" not in capsys.readouterr().err:
                    await asyncio.sleep(0.05)


async def test_the_end_of_the_service_is_a_stop_whoever_told_it(make_settings: Callable[..., Settings]) -> None:
    async with running(make_settings()) as service:
        assert not service.state["lifecycle"].leaving
    assert service.state["lifecycle"].leaving
