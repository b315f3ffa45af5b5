"""Visitors are told apart for a day, and nobody can be traced afterwards."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.sites import salts
from app.sites.visitors import CountedVisitors, visitor_hash
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import eventually
from tests.sites.conftest import CHROME, Desk


async def test_addresses_and_agents_are_not_stored(desk: Desk, server: Valkey) -> None:
    site = await desk.site()
    visitor = desk.visitor("203.0.113.77")
    assert (await visitor.get(f"/c/{site}?p=/a&w=500")).cookies == {}
    with server.client as client:
        for key in client.keys("*"):
            kind = client.type(key)
            read = {b"hash": client.hgetall, b"set": client.smembers, b"string": client.get}
            values = read[kind](key) if kind in read else client.lrange(key, 0, -1) if kind == b"list" else ""
            if b"session" not in key:
                assert "203.0.113.77" not in f"{key!r}{values!r}"
                assert "Mozilla" not in f"{values!r}"


async def test_uniques_are_exact_up_to_thousands_and_close_beyond(desk: Desk) -> None:
    site = await desk.site()
    state = desk.service.state
    known = await state["known_sites"].get(site)
    assert known is not None
    counter = state["hit_counter"]
    report = counter.query_report(known, b"p=/a", {b"user-agent": CHROME.encode()})
    for start in range(0, 12_000, 500):
        addresses = [f"10.0.{n // 250}.{n % 250}" for n in range(start, start + 500)]
        hits = [await counter.count(report, address, want_totals=True) for address in addresses]
        numbers = [number for number in await asyncio.gather(*hits) if number is not None]
        if start + 500 <= 4500:
            assert max(number.visitors for number in numbers) == start + 500
    stats = await desk.stats(site)
    assert stats["visits"] == 12_000
    assert abs(stats["visitors"] - 12_000) <= 240
    assert abs((await desk.top(site, "pages"))[0][2] - 12_000) <= 240


async def test_visitor_of_several_pages_counts_once_a_day_an_hour_and_a_page(desk: Desk) -> None:
    desk.clock.now += 86_400 * 1.5 - desk.clock.now % 86_400  # tomorrow's noon
    day = datetime.fromtimestamp(desk.clock.now, UTC).date().isoformat()
    site = await desk.site()
    for _ in range(2):
        for path in ("/a", "/b", "/a"):
            for address in ("198.51.100.1", "198.51.100.2"):
                query = {"p": path, "r": "https://news.example/" if path == "/a" else ""}
                await desk.visitor(address).get(f"/c/{site}", params=query)
        desk.clock.move(3600)
    assert await desk.top(site, "pages") == [("/a", 8, 2), ("/b", 4, 2)]
    assert await desk.top(site, "referrers") == [("news.example", 8, 2)]
    stats = await desk.stats(site, **{"interval": "hour", "from": day, "to": day})
    hours = [(point["visits"], point["visitors"]) for point in stats["series"] if point["visits"]]
    assert (stats["visits"], stats["visitors"], hours) == (12, 2, [(6, 2), (6, 2)])


async def test_salt_ends_with_its_day_and_the_file_forgets_it(
    desk: Desk, server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await desk.site(time_zone="Asia/Kolkata")
    await desk.visitor().get(f"/c/{site}?p=/a")
    with server.client as client:
        (key,) = client.keys("{sites:salts}:*")
        assert 0 < client.ttl(key) <= 86_400
        salt = client.get(key)
        assert len(salt) == salts.SALT_BYTES
        client.delete(key)
        assert await desk.service.state["site_store"].rewrite_file()
        assert not await desk.service.state["site_store"].rewrite_file(), "once is enough"
        await eventually(
            lambda: (
                client.info("persistence")["aof_rewrite_in_progress"] == 0
                and client.info("persistence")["aof_last_bgrewrite_status"] == "ok"
            ),
            what="the new file",
        )
        client.config_get("dir")
    files = list(Path(server.folder).glob("appendonlydir/*"))
    assert files
    await eventually(lambda: all(salt not in file.read_bytes() for file in files if file.exists()), what="no salt")


def test_hash_depends_on_salt_site_address_and_agent() -> None:
    first = visitor_hash(b"salt", "site", "address", b"agent")
    others = [
        visitor_hash(b"tlas", "site", "address", b"agent"),
        visitor_hash(b"salt", "etis", "address", b"agent"),
        visitor_hash(b"salt", "site", "other", b"agent"),
        visitor_hash(b"salt", "site", "address", b"other"),
    ]
    assert len({first, *others}) == 5
    assert len(first) == 14


def test_cache_of_visitors_is_bounded() -> None:
    counted = CountedVisitors(limit=100)
    assert all(counted.first((number,)) for number in range(1000))
    assert not counted.first((999,))
    assert len(counted._seen) <= 100
