"""The stream of a site's figures: what it tells, and to whom."""

import asyncio

import httpx
import pytest

from app.sites import live
from tests.helpers.cast import signed_in
from tests.helpers.event_streams import stream
from tests.helpers.sockets import PATIENCE
from tests.helpers.waiting import eventually
from tests.sites.conftest import Desk


async def test_stream_sends_new_visits(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "INTERVAL", 0.05)
    site_id = await desk.site()
    site = await desk.service.state["known_sites"].get(site_id)
    stopping = asyncio.Event()
    news = desk.service.state["live_sites"].watch(site, stopping)
    async with asyncio.timeout(PATIENCE):
        first = await anext(news)
        while not first:
            first = await anext(news)
        assert b'"visits":0' in first
        await desk.visitor().get(f"/c/{site_id}?p=/a")
        while b'"visits":1' not in first:
            first = await anext(news) or b""
    assert b'"path":"/a"' in first
    await news.aclose()


async def test_stream_ends_when_its_reader_may_not_see_the_site_any_more(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "INTERVAL", 0.05)
    site = await desk.site()
    token = (await desk.owner.post(f"/api/sites/{site}/shares")).json()["token"]
    charlie = await signed_in(desk.service, "charlie")
    await desk.owner.put(f"/api/sites/{site}/people/charlie", json={"may": "view"})
    by_link = stream(desk.service, f"/events/sites/{site}", query=f"share={token}")
    cookies = [(b"cookie", f"tallygate={each.cookies['tallygate']}".encode()) for each in (charlie, desk.owner)]
    of_charlie, of_bob = (stream(desk.service, f"/events/sites/{site}", headers=[cookie]) for cookie in cookies)
    async with by_link as link, of_charlie as charlies, of_bob as bobs:
        for each in (link, charlies, bobs):
            await each.says('"visits":0')
        assert (await desk.owner.delete(f"/api/sites/{site}/shares/{token}")).status_code == 204
        assert (await charlie.delete("/api/session")).status_code == 204
        await desk.visitor().get(f"/c/{site}?p=/secret")
        await bobs.says("/secret")
        for each in (link, charlies):
            await eventually(lambda each=each: each.ended, what="the end of the stream")
            assert "/secret" not in each.text
        assert (await desk.owner.delete(f"/api/sites/{site}")).status_code == 204
        await bobs.says("event: bye")


async def test_stream_needs_the_right_to_view(desk: Desk) -> None:
    site = await desk.site()
    anybody: httpx.AsyncClient = desk.service.another_client()
    assert (await anybody.head(f"/events/sites/{site}")).status_code == 404
    assert (await desk.owner.head(f"/events/sites/{site}")).status_code == 200
