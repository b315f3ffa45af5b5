"""`/live` and `/ready`, as an orchestrator asks them."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.counter.tally import Tally
from app.settings import Settings
from tests.helpers.event_streams import stream
from tests.helpers.service import Running, running
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey, valkey


async def ready_says(client: httpx.AsyncClient, path: str = "/ready", **expected: Any) -> dict[str, Any]:
    """The answer of `/ready`, once its status and these fields are as expected (None: the field is not there)."""
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = await client.get(path)
            body: dict[str, Any] = answer.json()
            if {name: answer.status_code if name == "code" else body.get(name) for name in expected} == expected:
                return body
            await asyncio.sleep(0.02)


async def test_live_and_ready_return_200(client: httpx.AsyncClient) -> None:
    assert (await client.get("/live")).json() == {"status": "live"}
    assert (await client.get("/ready")).json() == {"status": "ready"}


async def test_live_and_ready_are_not_cacheable(client: httpx.AsyncClient) -> None:
    for path in ("/live", "/ready"):
        assert (await client.get(path)).headers["cache-control"] == "no-store"


async def test_ready_says_no_until_redis_was_reached_once(
    make_settings: Callable[..., Settings], short_folder: Path
) -> None:
    server = Valkey(short_folder / "late")
    async with running(make_settings(redis_url=server.url, redis_timeout=0.3)) as service:
        answer = await ready_says(service.client, code=503, store="away")
        assert answer["status"] == "unavailable"
        assert answer["reason"].startswith("redis: ")
        assert (await service.client.get("/live")).status_code == 200
        server.start()
        try:
            await ready_says(service.client, code=200, store=None)
        finally:
            server.stop()


async def test_lost_redis_is_reported_and_ready_stays_200(
    make_settings: Callable[..., Settings], short_folder: Path
) -> None:
    with valkey(short_folder / "health") as server:
        async with running(make_settings(redis_url=server.url, redis_timeout=0.3)) as service:
            await ready_says(service.client, code=200, store=None)
            server.kill()
            answer = await ready_says(service.client, code=200, store="away")
            assert answer["status"] == "ready"
            assert answer["reason"].startswith("redis: ")
            answer = await ready_says(service.client, "/ready?store", code=503)
            assert (answer["status"], answer["store"]) == ("unavailable", "away")
            assert (await service.client.get("/live")).status_code == 200
            server.start()
            assert await ready_says(service.client, "/ready?store", code=200) == {"status": "ready"}


async def test_a_redis_that_hangs_keeps_no_probe_waiting(
    make_settings: Callable[..., Settings], short_folder: Path
) -> None:
    with valkey(short_folder / "hangs") as server:
        async with running(make_settings(redis_url=server.url, redis_timeout=30)) as service:
            await ready_says(service.client, code=200, store=None)
            server.send(signal.SIGSTOP)
            assert (await ready_says(service.client, code=200, store="away"))["reason"] == "redis: no answer within 1 s"
            server.send(signal.SIGCONT)
            await ready_says(service.client, code=200, store=None)


async def test_ready_reports_missing_read_permission(
    make_settings: Callable[..., Settings], short_folder: Path
) -> None:
    with valkey(short_folder / "health") as server, server.client as client:
        async with running(make_settings(redis_url=server.url)) as service:
            await ready_says(service.client, code=200, store=None)
            client.execute_command("ACL", "SETUSER", "default", "-exists")
            assert "permissions" in (await ready_says(service.client, code=200, store="refused"))["reason"]
            await ready_says(service.client, "/ready?store", code=503, store="refused")


async def test_ready_says_no_while_stopping_but_requests_are_answered(service: Running) -> None:
    service.state["lifecycle"].stopping.set()
    answer = await service.client.get("/ready")
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable", "reason": "stopping"})
    assert (await service.client.get("/live")).status_code == 200
    assert (await service.client.get("/")).status_code == 200


async def test_live_fails_when_counting_has_stopped(
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


async def test_work_resumes_when_redis_permits_it(
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


async def test_every_stop_is_logged_as_a_stop(make_settings: Callable[..., Settings]) -> None:
    async with running(make_settings()) as service:
        assert not service.state["lifecycle"].leaving
    assert service.state["lifecycle"].leaving
