"""While Redis is away hits are answered at once, without numbers, and counted when it is back."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.counter import exactly_once
from app.settings import Settings
from tests.helpers.cast import make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import running
from tests.helpers.valkey import valkey
from tests.helpers.waiting import eventually
from tests.sites.conftest import CHROME, JSON, Desk

PAGE = {"Referer": "https://blog.example/a"}


async def test_hits_are_answered_during_an_outage_and_counted_later(
    make_settings: Callable[..., Settings], short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exactly_once, "REPLY_TIMEOUT", 0.2)
    with valkey(short_folder / "away") as server:
        async with running(make_settings(redis_url=server.url), Clock()) as service:
            await make_cast(service)
            desk = Desk(service, await signed_in(service, "bob"), Clock())
            site = await desk.site(public=True)
            visitor = desk.visitor()
            busuanzi = {"jsonpCallback": "cb"}
            assert (await visitor.get("/busuanzi", params=busuanzi, headers=PAGE)).status_code == 200
            server.sync()
            server.kill()
            pixel = await visitor.get(f"/c/{site}?p=/a")
            assert (pixel.status_code, len(pixel.content)) == (200, 43)
            told = await visitor.get(f"/c/{site}?p=/a", headers=JSON)
            assert told.json() == {"page": None, "site": None, "visitors": None}
            assert (await visitor.post(f"/c/{site}", content="p=/a")).status_code == 204
            jsonp = await visitor.get("/busuanzi", params=busuanzi, headers=PAGE)
            assert jsonp.text == "try{cb(null);}catch(e){}"
            assert (await visitor.get(f"/g/{site}/count?p=/a")).status_code == 200
            assert (await visitor.get(f"/c/{site}.js")).status_code == 200
            assert (await visitor.get(f"/badge/{site}.json")).json()["message"] == "?"
            assert (await desk.owner.get(f"/api/sites/{site}/stats")).status_code == 503
            server.start()
            await eventually(lambda: service.state["hit_counter"].senders.waiting == 0, what="the hits to be counted")
            await eventually(lambda: service.state["store"].up, what="Redis")
            assert (await visitor.get(f"/c/{site}/count?p=/a")).json()["page"] == 6


async def test_hits_of_a_site_that_the_worker_has_not_seen_are_counted_later(
    make_settings: Callable[..., Settings], short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exactly_once, "REPLY_TIMEOUT", 0.2)
    with valkey(short_folder / "unseen") as server:
        settings = make_settings(redis_url=server.url, redis_timeout=0.3)
        async with running(settings, Clock()) as service, running(settings, Clock()) as other:
            await make_cast(service)
            desk = Desk(service, await signed_in(service, "bob"), Clock())
            site = await desk.site()
            visitor = other.another_client(headers={"User-Agent": CHROME})
            server.sync()
            server.kill()
            assert (await visitor.get(f"/c/{site}?p=/a")).status_code == 200
            assert (await visitor.post(f"/c/{site}", content="p=/a")).status_code == 204
            assert (await visitor.get(f"/c/{site}?p=%00")).status_code == 200
            assert (await visitor.head(f"/c/{site}?p=/a")).status_code == 200
            assert (await visitor.get(f"/c/{site}/count?p=/a")).json()["page"] is None
            assert (await visitor.get("/busuanzi", params={"jsonpCallback": "cb"}, headers=PAGE)).status_code == 200
            assert (await visitor.get(f"/g/{site}/count?p=/a")).status_code == 200
            assert (await visitor.get(f"/g/{site}/count?p=/a&q=%00")).status_code == 200
            assert (await visitor.get(f"/g/{site}/count.js")).status_code == 200
            assert (await visitor.get("/c/zzzzzzzzzz?p=/a")).status_code == 200
            assert len(other.state["postponed_hits"]) == 7
            server.start()
            await eventually(lambda: not len(other.state["postponed_hits"]), what="the hits to be taken")
            await eventually(lambda: other.state["hit_counter"].senders.waiting == 0, what="the hits to be counted")
            await eventually(lambda: other.state["store"].up, what="Redis")
            assert (await visitor.get(f"/c/{site}/count?p=/a")).json()["page"] == 4
            assert (await visitor.get(f"/g/{site}/count?p=/a&q=%00")).status_code == 400


async def test_flood_on_one_site_leaves_room_for_the_others(
    make_settings: Callable[..., Settings], short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exactly_once, "REPLY_TIMEOUT", 0.2)
    with valkey(short_folder / "flood") as server:
        settings = make_settings(redis_url=server.url, max_queued_hits=40)
        async with running(settings, Clock()) as service:
            await make_cast(service)
            desk = Desk(service, await signed_in(service, "bob"), Clock())
            flooded, quiet = await desk.site(), await desk.site()
            for site in (flooded, quiet):
                await desk.visitor().get(f"/c/{site}?p=/a")
            server.sync()
            server.kill()
            for _ in range(30):
                assert (await desk.visitor().get(f"/c/{flooded}?p=/a")).status_code == 200
            await desk.visitor().get(f"/c/{quiet}?p=/a")
            senders = service.state["hit_counter"].senders
            assert senders.dropped >= 19
            server.start()
            await eventually(lambda: senders.waiting == 0, what="the hits to be counted")
            await eventually(lambda: service.state["store"].up, what="Redis")
            assert (await desk.visitor().get(f"/c/{quiet}/count?p=/a")).json()["page"] == 2
            assert (await desk.visitor().get(f"/c/{flooded}/count?p=/a")).json()["page"] <= 12
