"""Server-sent events of a namespace, other workers, and reads while Redis is away; by real connections."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import httpx
import orjson
import pytest

from app.config_service import stream as config_stream
from app.config_service.store import ConfigStore
from app.config_service.watch import Namespaces
from app.settings import Settings
from app.store.client import StoreUnavailable
from app.store.keys import config_history, config_namespace
from tests.config_service.conftest import PATCH, Office
from tests.helpers.api import program, token_for
from tests.helpers.cast import make_cast, signed_in
from tests.helpers.event_streams import stream
from tests.helpers.service import running
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey, valkey
from tests.helpers.waiting import eventually


async def test_every_worker_follows_a_change(make_settings: Callable[..., Settings], office: Office) -> None:
    path = await office.namespace()
    token = await token_for(office.alice)
    async with running(make_settings(), office.clock) as other:
        reader = program(other, token)
        assert (await reader.get(path)).json() == {}
        assert (await reader.get(path)).json() == {}
        await office.patch(path, {"a": 1})
        changed = await reader.get(f"{path}?wait=30", headers={"If-None-Match": '"1"'})
        assert changed.json() == {"a": 1}


async def test_redis_away_reads_go_on_with_their_age_and_writes_do_not(
    make_settings: Callable[..., Settings], tmp_path: Path, short_folder: Path
) -> None:
    with valkey(short_folder / "away") as server:
        async with running(make_settings(redis_url=server.url, redis_timeout=0.3)) as service:
            await make_cast(service)
            alice = await signed_in(service, "alice")
            await alice.post("/api/config", json={"name": "shop"})
            await alice.patch("/api/config/shop", json={"a": 1}, headers=PATCH)
            assert (await alice.get("/api/config/shop")).json() == {"a": 1}
            server.kill()
            deadline = time.monotonic() + 10
            while "x-config-age" not in (answer := await alice.get("/api/config/shop")).headers:
                assert time.monotonic() < deadline, answer.text
                await asyncio.sleep(0.05)
            assert answer.json() == {"a": 1}
            assert int(answer.headers["x-config-age"]) >= 0
            one = await alice.get("/api/config/shop/values/a")
            assert (one.json(), "x-config-age" in one.headers) == (1, True)
            assert (await alice.patch("/api/config/shop", json={"a": 2}, headers=PATCH)).status_code == 503
            assert (await service.another_client().get("/api/config/shop")).status_code == 401


async def test_workers_follow_a_store_that_has_gone_back(
    make_settings: Callable[..., Settings], office: Office, server: Valkey
) -> None:
    """As after a failover to a replica that lagged, or once a back-up is restored."""
    path = await office.namespace()
    await office.patch(path, {"a": 1})
    async with running(make_settings(), office.clock) as other:
        reader = program(other, await token_for(office.alice))
        assert (await reader.get(path)).json() == {"a": 1}
        with server.client as redis:
            names = [config_namespace("shop"), config_history("shop")]
            before = {name: redis.dump(name) for name in names}
            for value in (2, 3):
                await office.patch(path, {"a": value})
            await eventually(lambda: holds(reader, path, {"a": 3}))
            tag = (await reader.get(path)).headers["etag"]
            for name, dump in before.items():
                redis.restore(name, 0, dump, replace=True)
        waiting = asyncio.create_task(reader.get(f"{path}?wait=30", headers={"If-None-Match": tag}))
        while not other.state["config_namespaces"].waiting:
            await asyncio.sleep(0.01)
        written = await office.patch(path, {"b": 5})
        assert (written.status_code, written.json()) == (200, {"version": 3, "changed": ["b"]})
        assert (await waiting).json() == {"a": 1, "b": 5}
        for client in (office.alice, reader):
            assert await holds(client, path, {"a": 1, "b": 5})


async def holds(client: httpx.AsyncClient, path: str, values: Any) -> bool:
    return bool((await client.get(path)).json() == values)


async def test_a_stream_of_visits_leaves_no_room_for_a_long_poll(make_settings: Callable[..., Settings]) -> None:
    async with running(make_settings(max_streams=1)) as service:
        await make_cast(service)
        alice = await signed_in(service, "alice")
        await alice.post("/api/config", json={"name": "shop"})
        tag = {"If-None-Match": (await alice.get("/api/config/shop")).headers["etag"]}
        async with stream(service) as visits:
            await visits.tells(0)
            refused = await alice.get("/api/config/shop?wait=30", headers=tag)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "30")
            assert (await alice.get("/events/config/shop")).status_code == 503


async def streamed(office: Office, path: str, events: int, last: str = "") -> list[tuple[str, object]]:
    """The first events of a stream, as (id, data); asked below httpx, which reads responses to their end."""
    cookies = "; ".join(f"{name}={value}" for name, value in office.alice.cookies.items())
    headers = [(b"host", b"tallygate.test"), (b"cookie", cookies.encode()), (b"last-event-id", last.encode())]
    scope: dict[str, Any] = {
        "type": "http", "http_version": "1.1", "method": "GET", "path": path, "raw_path": path.encode(),
        "root_path": "", "scheme": "http", "query_string": b"", "headers": headers,
        "client": ("192.0.2.1", 1), "server": ("tallygate.test", 80), "state": office.service.state.copy(),
    }  # fmt: skip
    found: list[tuple[str, object]] = []
    enough = asyncio.Event()

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        for line in message.get("body", b"").split(b"\n"):
            if line.startswith(b"id: "):
                found.append((line[4:].decode(), None))
            elif line.startswith(b"data: "):
                found[-1] = (found[-1][0], orjson.loads(line[6:]))
        if len(found) >= events:
            enough.set()

    async def run() -> None:
        try:
            await office.service.app(scope, receive, send)
        finally:
            enough.set()

    task = asyncio.create_task(run())
    try:
        async with asyncio.timeout(10):
            await enough.wait()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return found


@pytest.mark.parametrize(
    ("last", "keys"), [("", ["a", "b"]), ("1", ["a", "b"]), ("2", ["b"]), ("999", ["a", "b"]), ("x", ["a", "b"])]
)
async def test_stream_resumes_where_it_was_and_else_tells_the_present(
    office: Office, last: str, keys: list[str]
) -> None:
    path = await office.namespace()
    await office.patch(path, {"a": 1})
    await office.patch(path, {"b": 1})
    assert await streamed(office, "/events/config/shop", 1, last) == [("3", {"version": 3, "keys": keys})]


async def test_stream_that_redis_interrupts_resumes(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    path = await office.namespace()
    await office.patch(path, {"a": 1})
    with monkeypatch.context() as patch:
        patch.setattr(ConfigStore, "versions_after", AsyncMock(side_effect=StoreUnavailable("away", sent=False)))
        assert await streamed(office, "/events/config/shop", 1, "1") == []
    assert await streamed(office, "/events/config/shop", 1, "1") == [("2", {"version": 2, "keys": ["a"]})]


async def test_stream_tells_changes_as_they_come(office: Office) -> None:
    path = await office.namespace()
    reading = asyncio.create_task(streamed(office, "/events/config/shop", 2))
    while not office.service.state["config_namespaces"].waiting:
        await asyncio.sleep(0.01)
    await office.patch(path, {"price": 1})
    assert await reading == [("1", {"version": 1, "keys": []}), ("2", {"version": 2, "keys": ["price"]})]
    assert (await office.bob.get("/events/config/shop", headers={"Accept": "application/json"})).status_code == 404


async def test_stream_and_wait_end_without_news_for_a_user_who_signed_out(office: Office) -> None:
    path = await office.namespace()
    alice = await signed_in(office.service, "alice")
    cookie = f"tallygate={alice.cookies['tallygate']}".encode()
    async with stream(office.service, "/events/config/shop", headers=[(b"cookie", cookie)]) as reader:
        await reader.says('"version":1')
        waiting = asyncio.create_task(alice.get(f"{path}?wait=30", headers={"If-None-Match": '"1"'}))
        while office.service.state["config_namespaces"].waiting < 2:
            await asyncio.sleep(0.01)
        leaving = office.service.another_client(cookies=alice.cookies)
        assert (await leaving.delete("/api/session")).status_code == 204
        await office.patch(path, {"price": 1})
        await eventually(lambda: reader.ended, what="the end of the stream")
        assert '"version":2' not in reader.text
        assert (await waiting).status_code == 401


@pytest.mark.parametrize("away", [False, True])
async def test_quiet_stream_has_heartbeats(office: Office, monkeypatch: pytest.MonkeyPatch, away: bool) -> None:
    await office.namespace()
    monkeypatch.setattr(config_stream, "HEARTBEAT", 0.05)
    cookies = "; ".join(f"{name}={value}" for name, value in office.alice.cookies.items())
    async with stream(office.service, "/events/config/shop", headers=[(b"cookie", cookies.encode())]) as reader:
        if away:
            monkeypatch.setattr(Namespaces, "fresh", lambda namespaces, name: None)
        await eventually(lambda: reader.text.count(": \n\n") >= 3)
        assert reader.headers["x-accel-buffering"] == "no"
        assert reader.text.count("data:") == 1


async def test_wait_ends_at_once_while_the_server_stops(office: Office) -> None:
    path = await office.namespace()
    office.service.state["lifecycle"].stopping.set()
    for _ in range(2):  # the second one comes on the same connection, and would hold up the stop
        async with asyncio.timeout(PATIENCE / 2):
            answer = await office.alice.get(f"{path}?wait=60", headers={"If-None-Match": '"1"'})
        assert answer.status_code == 304


async def test_more_streams_and_waits_than_allowed_are_refused(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    path = await office.namespace()
    monkeypatch.setattr(Namespaces, "waiting", 10_000)
    for more, headers in ((path.replace("/api/", "/events/"), {}), (f"{path}?wait=30", {"If-None-Match": '"1"'})):
        async with asyncio.timeout(PATIENCE):
            refused = await office.alice.get(more, headers=headers)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "30")
