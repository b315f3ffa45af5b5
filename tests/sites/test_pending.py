"""Small reports of hits wait in Redis for others of their site; nobody who looks sees that."""

from app.sites.counting_script import PENDING, SETTLED_AT_ONCE
from app.sites.models import bucket_of
from app.store import keys
from tests.helpers.valkey import Valkey
from tests.sites.conftest import JSON, Desk


def pending(server: Valkey, site: str) -> int:
    with server.client as client:
        waiting = int(client.llen(keys.site_counts(bucket_of(site), site, "pending")))
        assert bool(client.sismember(keys.sites_pending(bucket_of(site)), site)) == bool(waiting)
        return waiting


async def test_hits_without_numbers_wait_and_are_counted_together(desk: Desk, server: Valkey) -> None:
    site = await desk.site()
    for number in range(3):
        await desk.visitor(f"198.51.100.{number}").get(f"/c/{site}?p=/{number % 2}&r=https://news.example/")
    await desk.visitor().get(f"/c/{site}?p=/1&e=sign-up")
    await desk.visitor(**{"User-Agent": "curl/8"}).get(f"/c/{site}?p=/1")
    assert pending(server, site) == 5
    stats = await desk.stats(site)
    assert (stats["visits"], stats["visitors"], stats["left_out"]["bots"]) == (3, 3, 1)
    assert pending(server, site) == 0
    assert await desk.top(site, "pages") == [("/0", 2, 2), ("/1", 1, 1)]
    assert await desk.top(site, "referrers", path="/0") == [("news.example", 2, 0)]
    assert await desk.top(site, "events") == [("sign-up", 1, 1)]


async def test_numbers_hold_the_hits_that_waited(desk: Desk, server: Valkey) -> None:
    site = await desk.site()
    await desk.visitor("198.51.100.1").get(f"/c/{site}?p=/a")
    await desk.visitor("198.51.100.2").get(f"/c/{site}?p=/b")
    told = await desk.visitor().get(f"/c/{site}?p=/a", headers=JSON)
    assert told.json() == {"page": 2, "site": 3, "visitors": 3}
    assert pending(server, site) == 0


async def test_hits_of_two_hours_are_counted_where_they_belong(desk: Desk) -> None:
    site = await desk.site()
    desk.clock.move(3600 - desk.clock.now % 3600 - 10)
    await desk.visitor().get(f"/c/{site}?p=/a")
    desk.clock.move(20)
    await desk.visitor().get(f"/c/{site}?p=/a")
    series = (await desk.stats(site, interval="hour"))["series"]
    assert [point["visits"] for point in series if point["visits"]] == [1, 1]


async def test_waiting_requests_are_bounded(desk: Desk, server: Valkey) -> None:
    site = await desk.site()
    visitor = desk.visitor()
    for _ in range(PENDING + 2):
        await visitor.get(f"/c/{site}?p=/a")
    assert pending(server, site) == 2


async def test_pending_hits_are_counted_except_of_a_removed_site(desk: Desk, server: Valkey) -> None:
    sites = [await desk.site() for _ in range(SETTLED_AT_ONCE + 4)]
    for site in sites:
        await desk.visitor().get(f"/c/{site}?p=/a")
    with server.client as client:
        client.delete(keys.site(bucket_of(sites[0]), sites[0]))
    await desk.service.state["site_store"].count_all_pending()
    with server.client as client:
        assert client.keys("*pending") == []
        totals = [client.hget(keys.site_counts(bucket_of(site), site, "totals"), "visits") for site in sites]
    assert totals == [None, *[b"1"] * (len(sites) - 1)]
