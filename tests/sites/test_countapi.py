"""CountAPI's and abacus' protocol."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from app.counter import exactly_once
from app.settings import Settings
from app.sites import batch
from app.sites.counting_script import COUNTER_LIFETIME
from tests.helpers.service import running
from tests.helpers.valkey import Valkey, valkey
from tests.helpers.waiting import eventually


@pytest.fixture
async def visitor(make_settings: Callable[..., Settings]) -> AsyncIterator[httpx.AsyncClient]:
    async with running(make_settings(countapi=True)) as service:
        yield service.client


async def test_countapi_is_off_by_default(client: httpx.AsyncClient) -> None:
    assert (await client.get("/countapi/hit/blog/first")).status_code == 404


async def test_hits_make_and_count_a_name(visitor: httpx.AsyncClient) -> None:
    assert (await visitor.get("/countapi/get/blog/first")).json()["value"] is None
    assert (await visitor.get("/countapi/get/blog/first")).status_code == 404
    answers = [await visitor.get("/countapi/hit/blog/first") for _ in range(3)]
    assert [answer.json() for answer in answers] == [{"value": 1}, {"value": 2}, {"value": 3}]
    assert answers[0].headers["access-control-allow-origin"] == "*"
    assert (await visitor.get("/countapi/get/blog/first")).json() == {"value": 3}
    assert (await visitor.get("/countapi/hit/alone")).json() == {"value": 1}
    assert (await visitor.get("/countapi/get/default/alone")).json() == {"value": 1}
    assert (await visitor.get("/countapi/hit/blog/first?img")).content.startswith(b"GIF89a")
    assert "<svg" in (await visitor.get("/countapi/get/blog/first/shield")).text


async def test_counter_that_is_only_read_is_kept(visitor: httpx.AsyncClient, server: Valkey) -> None:
    await visitor.get("/countapi/hit/blog/first")
    with server.client as client:
        (key,) = client.keys("*:countapi:blog:first")
        for left, kept in ((60, COUNTER_LIFETIME), (COUNTER_LIFETIME - 3600, COUNTER_LIFETIME - 3600)):
            client.expire(key, left)
            assert (await visitor.get("/countapi/get/blog/first")).json() == {"value": 1}
            assert kept - 10 <= client.ttl(key) <= kept


async def test_countapi_value_needs_the_key(visitor: httpx.AsyncClient) -> None:
    made = await visitor.post("/countapi/create/shop/sold?initializer=5")
    assert made.status_code == 201
    assert made.json()["value"] == 5
    key = {"Authorization": f"Bearer {made.json()['admin_key']}"}
    assert (await visitor.post("/countapi/create/shop/sold")).status_code == 409
    named = (await visitor.get("/countapi/create?namespace=shop&key=seen&value=3")).json()
    assert (named["namespace"], named["key"], named["value"]) == ("shop", "seen", 3)
    assert (await visitor.get("/countapi/create")).json()["namespace"] == "default"
    for refused in ({}, {"Authorization": "Bearer wrong"}):
        assert (await visitor.post("/countapi/set/shop/sold?value=9", headers=refused)).status_code == 403
    assert (await visitor.post("/countapi/set/shop/sold?value=9", headers=key)).json() == {"old_value": 5, "value": 9}
    assert (await visitor.post("/countapi/update/shop/sold?value=-2", headers=key)).json()["value"] == 7
    token = made.json()["admin_key"]
    assert (await visitor.get(f"/countapi/update/shop/sold?amount=3&token={token}")).json()["value"] == 10
    assert (await visitor.post("/countapi/reset/shop/sold", headers=key)).json()["value"] == 0
    info = (await visitor.get("/countapi/info/shop/sold")).json()
    assert (info["value"], info["full_key"], info["is_genuine"], info["exists"]) == (0, "shop:sold", False, True)
    assert (await visitor.post("/countapi/delete/shop/sold", headers=key)).json() == {"status": "ok"}
    removed = await visitor.get("/countapi/info/shop/sold")
    assert (removed.status_code, removed.json()["exists"], removed.json()["value"]) == (200, False, -1)
    await visitor.get("/countapi/hit/shop/free")
    assert (await visitor.get("/countapi/info/shop/free")).json()["is_genuine"] is True
    assert (await visitor.post("/countapi/set/shop/free?value=1", headers=key)).status_code == 403


async def test_callback_always_succeeds_with_the_status_inside(visitor: httpx.AsyncClient) -> None:
    answer = await visitor.get("/countapi/get/blog/none?callback=cb")
    assert answer.status_code == 200
    assert answer.text == 'cb({"code":404,"value":null,"error":"Key not found"})'
    assert (await visitor.get("/countapi/hit/blog/none?callback=alert(1)")).status_code == 400
    assert (await visitor.get("/countapi/get/blog/none")).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "hit/a/b",
        "hit/ab",
        "hit/blog/a b",
        "hit/" + "a" * 65,
        "hit/a/b/c/d",
        "update/blog/first?value=x",
        "update/blog/first?amount=1e3",
        "update/blog/first?amount=1.5",
        "set/blog/first",
        "set/blog/first?value=",
        "set/blog/first?value=9007199254740992",
        "create/blog/first?initializer=x",
        "create/blog/first?initializer=",
    ],
)
async def test_wrong_names_and_numbers_are_refused(visitor: httpx.AsyncClient, path: str) -> None:
    assert (await visitor.get(f"/countapi/{path}")).status_code == 400


async def test_head_request_counts_and_changes_nothing(visitor: httpx.AsyncClient) -> None:
    await visitor.get("/countapi/hit/blog/first")
    assert (await visitor.head("/countapi/hit/blog/first")).status_code == 200
    for path in ("create/blog/second", "stream/blog/first", "delete/blog/first", "set/blog/first?value=1"):
        assert (await visitor.head(f"/countapi/{path}")).status_code == 405
    assert (await visitor.get("/countapi/get/blog/first")).json() == {"value": 1}
    assert (await visitor.get("/countapi/get/blog/second")).status_code == 404


async def test_making_names_is_limited(visitor: httpx.AsyncClient) -> None:
    statuses = [(await visitor.get(f"/countapi/hit/blog/name{number}")).status_code for number in range(121)]
    assert statuses == [200] * 120 + [429]
    limited = await visitor.get("/countapi/create/blog/another")
    assert int(limited.headers["retry-after"]) > 0
    assert limited.headers["access-control-allow-origin"] == "*"
    inside = await visitor.get("/countapi/hit/blog/another?callback=cb")
    assert (inside.status_code, inside.text[:13]) == (200, 'cb({"code":42')
    assert (await visitor.get("/countapi/hit/blog/name1")).status_code == 200


async def test_hits_at_once_are_told_values_of_their_own(visitor: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(visitor.get(f"/countapi/hit/blog/{name}") for name in ("first", "second") * 20))
    assert sorted(answer.json()["value"] for answer in answers) == sorted([*range(1, 21)] * 2)
    full = (await visitor.get("/countapi/create/blog/full?initializer=9007199254740990")).json()
    assert (await visitor.get("/countapi/hit/blog/full")).json() == {"value": 2**53 - 1}
    assert (await visitor.get("/countapi/hit/blog/full")).status_code == 400
    changed = await visitor.get(f"/countapi/update/blog/full?amount=1&token={full['admin_key']}")
    assert changed.status_code == 400


async def test_hits_while_redis_is_away_have_no_value_and_are_counted_later(
    make_settings: Callable[..., Settings], short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exactly_once, "REPLY_TIMEOUT", 0.2)
    with valkey(short_folder / "countapi") as server:
        async with running(make_settings(countapi=True, redis_url=server.url)) as service:
            visitor = service.client
            made = (await visitor.get("/countapi/create/blog/first?initializer=1")).json()
            server.sync()
            server.kill()
            for path, text in (
                ("blog/first", '{"value":null}'),
                ("blog/first?callback=cb", 'cb({"code":200,"value":null})'),
                ("blog/new", '{"value":null}'),
            ):
                away = await visitor.get(f"/countapi/hit/{path}")
                assert (away.status_code, away.text) == (200, text)
            assert ">?<" in (await visitor.get("/countapi/hit/blog/first/shield")).text
            changed = await visitor.get(f"/countapi/set/blog/first?value=9&token={made['admin_key']}")
            assert (changed.status_code, changed.headers["retry-after"]) == (503, "1")
            assert (await visitor.get("/countapi/get/blog/first")).status_code == 503
            server.start()
            await eventually(lambda: service.state["hit_counter"].senders.waiting == 0, what="the hits to be counted")
            await eventually(lambda: service.state["store"].up, what="Redis")
            assert (await visitor.get("/countapi/get/blog/first")).json() == {"value": 4}
            assert (await visitor.get("/countapi/get/blog/new")).json() == {"value": 1}


async def test_counters_that_wait_for_redis_are_bounded(
    make_settings: Callable[..., Settings], short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exactly_once, "REPLY_TIMEOUT", 0.2)
    monkeypatch.setattr(batch, "MAX_WAITING_NAMES", 5)
    with valkey(short_folder / "many") as server:
        async with running(make_settings(countapi=True, redis_url=server.url)) as service:
            await service.client.get("/countapi/hit/blog/first")
            server.sync()
            server.kill()
            for number in range(8):
                assert (await service.client.get(f"/countapi/hit/blog/{number:03}")).json() == {"value": None}
            assert service.state["hit_counter"].senders.dropped >= 2
