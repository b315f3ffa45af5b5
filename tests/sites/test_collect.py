"""Hits that pages report: what they are answered, and what they count as."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.routing import Mount, Route

from app.routes import all_routes
from app.settings import Settings
from app.settings.checks import TAKEN_PATHS
from tests.helpers.cast import make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import running
from tests.sites.conftest import JSON, Desk

CROSS_SITE = {"Origin": "https://blog.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}


async def test_pixel_counts_and_is_43_bytes(desk: Desk) -> None:
    site = await desk.site()
    answer = await desk.visitor().get(f"/c/{site}?p=/a")
    assert (answer.status_code, len(answer.content)) == (200, 43)
    assert answer.headers["content-type"] == "image/gif"
    assert "no-store" in answer.headers["cache-control"]
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers.get_list("cross-origin-resource-policy") == ["cross-origin"]
    assert "set-cookie" not in answer.headers
    assert (await desk.stats(site))["visits"] == 1


async def test_each_hit_gets_its_own_numbers(desk: Desk) -> None:
    site = await desk.site()
    visitors = [desk.visitor(f"198.51.100.{n}") for n in range(5)]
    hits = [
        visitor.get(f"/c/{site}", params={"p": path}, headers=JSON) for visitor in visitors for path in ("/a", "/b")
    ]
    numbers = [answer.json() for answer in await asyncio.gather(*hits)]
    assert sorted(number["site"] for number in numbers) == list(range(1, 11))
    assert sorted(number["page"] for number in numbers) == sorted([1, 2, 3, 4, 5] * 2)
    assert max(number["visitors"] for number in numbers) == 5
    stats = await desk.stats(site)
    assert (stats["visits"], stats["visitors"]) == (10, 5)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"u=https%3A%2F%2Fblog.example%2Fa&r=https%3A%2F%2Fnews.example%2Fx", "application/x-www-form-urlencoded"),
        (b"u=https%3A%2F%2Fblog.example%2Fa&r=https%3A%2F%2Fnews.example%2Fx", "text/plain;charset=UTF-8"),
        (b'{"u": "https://blog.example/a", "r": "https://news.example/x", "w": 800}', "application/json"),
        (b'{"u": "https://blog.example/a", "r": "https://news.example/x", "w": 800.5, "meta": [1]}', "text/plain"),
        (
            b'--x\r\nContent-Disposition: form-data; name="u"\r\n\r\nhttps://blog.example/a\r\n'
            b'--x\r\nContent-Disposition: form-data; name="r"\r\n\r\nhttps://news.example/x\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
    ],
)
async def test_hit_may_be_posted_from_other_sites(desk: Desk, body: bytes, kind: str) -> None:
    site = await desk.site()
    visitor = desk.visitor()
    answer = await visitor.post(f"/c/{site}", content=body, headers=CROSS_SITE | {"Content-Type": kind})
    assert (answer.status_code, answer.content) == (204, b"")
    told = await visitor.post(f"/c/{site}", content=body, headers=CROSS_SITE | JSON | {"Content-Type": kind})
    assert told.json() == {"page": 2, "site": 2, "visitors": 1}
    assert await desk.top(site, "pages") == [("/a", 2, 1)]
    assert await desk.top(site, "referrers") == [("news.example", 2, 1)]


async def test_without_an_address_the_referer_says_which_page(desk: Desk) -> None:
    site = await desk.site()
    await desk.visitor().get(f"/c/{site}", headers={"Referer": "https://www.blog.example/b/?utm_source=x"})
    assert [name for name, _, _ in await desk.top(site, "pages")] == ["/b"]
    await desk.visitor().get(f"/c/{site}", headers={b"Referer": "https://blog.example/é".encode()})
    assert {name for name, _, _ in await desk.top(site, "pages")} == {"/b", "/é"}
    for headers in ({}, {b"Referer": b"https://blog.example/\xe9"}):
        assert (await desk.visitor().get(f"/c/{site}", headers=headers)).status_code == 400


@pytest.mark.parametrize("site", ["abcdefghij", "short", "ABCDEFGHIJ", "a" * 500, "..a", "%00"])
async def test_unknown_site_is_a_pixel_with_404(desk: Desk, site: str) -> None:
    for answer in (await desk.visitor().get(f"/c/{site}?p=/"), await desk.visitor().post(f"/c/{site}?p=/")):
        assert (answer.status_code, len(answer.content)) == (404, 43)


async def test_head_request_is_not_counted_and_preflight_is_answered(desk: Desk) -> None:
    site = await desk.site()
    head = await desk.visitor().head(f"/c/{site}?p=/a")
    assert (head.status_code, head.headers["content-type"]) == (200, "image/gif")
    preflight = await desk.visitor().options(f"/c/{site}", headers=CROSS_SITE)
    assert preflight.status_code == 204
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in preflight.headers
    assert (await desk.stats(site))["visits"] == 0
    assert (await desk.visitor().delete(f"/c/{site}")).status_code == 405


@pytest.mark.parametrize(
    ("headers", "query", "reason"),
    [
        ({"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"}, {}, "bots"),
        ({"User-Agent": ""}, {}, "bots"),
        ({"Sec-Purpose": "prefetch;prerender"}, {}, "prefetch"),
        ({"Purpose": "prefetch"}, {}, "prefetch"),
        ({"X-Moz": "prefetch"}, {}, "prefetch"),
        ({}, {"r": f"https://{'a' * 60}.semalt.com/crawler"}, "spam"),
        ({}, {"u": "https://copy.example/a"}, "elsewhere"),
        ({"Origin": "https://copy.example"}, {}, "elsewhere"),
    ],
)
async def test_ignored_hits_are_counted_apart_and_answered_alike(
    desk: Desk, headers: dict[str, str], query: dict[str, str], reason: str
) -> None:
    site = await desk.site()
    answer = await desk.visitor().get(f"/c/{site}", params={"p": "/a"} | query, headers=headers | JSON)
    assert answer.json() == {"page": 0, "site": 0, "visitors": 0}
    stats = await desk.stats(site)
    assert stats["visits"] == 0
    assert stats["left_out"] == {**dict.fromkeys(stats["left_out"], 0), reason: 1}


async def test_own_visits_are_not_counted(desk: Desk) -> None:
    site = await desk.site(ignore=["198.51.100.0/24", "2001:db8::1"])
    for address in ("198.51.100.7", "2001:db8::1", "::ffff:198.51.100.9"):
        await desk.visitor(address).get(f"/c/{site}?p=/a")
    await desk.visitor("203.0.113.1").get(f"/c/{site}?p=/a")
    stats = await desk.stats(site)
    assert (stats["visits"], stats["left_out"]["own"]) == (1, 3)


@pytest.mark.parametrize("header", ["Sec-GPC", "DNT"])
async def test_privacy_signal_limits_counting_to_the_total_or_nothing(desk: Desk, header: str) -> None:
    site, strict = await desk.site(), await desk.site(privacy="nothing")
    for each in (site, strict):
        await desk.visitor().get(f"/c/{each}?p=/a&r=https://news.example/", headers={header: "1"})
    stats = await desk.stats(site)
    assert (stats["visits"], stats["visitors"]) == (1, 0)
    assert await desk.top(site, "referrers") == []
    assert await desk.top(site, "browsers") == []
    assert (await desk.stats(strict))["left_out"]["private"] == 1
    assert (await desk.stats(strict))["visits"] == 0


async def test_event_is_listed_and_is_no_visit(desk: Desk) -> None:
    site = await desk.site()
    for address in ("198.51.100.1", "198.51.100.1", "198.51.100.2"):
        await desk.visitor(address).get(f"/c/{site}?p=/a&e=sign-up")
    assert await desk.top(site, "events") == [("sign-up", 3, 2)]
    assert (await desk.stats(site))["visits"] == 0


async def test_browsers_systems_screens_and_languages_are_listed(desk: Desk) -> None:
    site = await desk.site()
    await desk.visitor(**{"Accept-Language": "de-AT,de;q=0.9"}).get(f"/c/{site}?p=/a&w=390")
    assert await desk.top(site, "browsers") == [("Chrome", 1, 1)]
    assert await desk.top(site, "systems") == [("Linux", 1, 1)]
    assert await desk.top(site, "screens") == [("phone", 1, 1)]
    assert await desk.top(site, "languages") == [("de", 1, 1)]


async def test_numbers_are_read_without_counting(desk: Desk) -> None:
    site = await desk.site()
    await desk.visitor().get(f"/c/{site}?p=/a")
    for _ in range(2):
        for query in ("p=/a/", "u=https://blog.example/a"):
            answer = await desk.visitor().get(f"/c/{site}/count?{query}")
            assert answer.json() == {"page": 1, "site": 1, "visitors": 1}
    assert (await desk.visitor().get(f"/c/{site}/count?p=/other")).json()["page"] == 0


async def test_script_is_small_tagged_and_works_under_any_name(desk: Desk) -> None:
    site = await desk.site()
    for name in (f"{site}.js", f"{site}/main.js"):
        answer = await desk.visitor().get(f"/c/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/javascript")
        assert answer.headers.get_list("cross-origin-resource-policy") == ["cross-origin"]
        assert len(answer.content) <= 2048
        assert site.encode() in answer.content
        for known in (answer.headers["etag"], f'"x", W/{answer.headers["etag"]}', "*"):
            again = await desk.visitor().get(f"/c/{name}", headers={"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b"")
    assert (await desk.visitor().get(f"/c/{site}/anything?p=/a")).status_code == 200
    assert (await desk.stats(site))["visits"] == 1
    assert (await desk.visitor().get("/c/abcdefghij.js")).status_code == 404


async def test_paths_beyond_the_most_are_counted_as_other(desk: Desk) -> None:
    site = await desk.site(max_paths=2)
    hits = [desk.visitor().get(f"/c/{site}?p={path}", headers=JSON) for path in ("/1", "/2", "/3", "/4", "/1")]
    assert [answer.json()["page"] for answer in await asyncio.gather(*hits)] == [1, 1, 0, 0, 2]
    answer = await desk.owner.get(f"/api/sites/{site}/top/pages")
    assert {row["name"]: row["visits"] for row in answer.json()["rows"]} == {"/1": 2, "/2": 1}
    assert answer.json()["other"] == 2
    assert (await desk.stats(site))["visits"] == 5


@pytest.mark.slow
@pytest.mark.parametrize("count", [3000])
async def test_flood_of_paths_referrers_and_agents_stays_bounded(desk: Desk, count: int) -> None:
    site = await desk.site(max_paths=100)
    visitor = desk.visitor()
    for start in range(0, count, 100):
        hits: list[Any] = [
            visitor.get(f"/c/{site}?p=/{n}&r=https://r{n}.example/", headers={"User-Agent": f"Browser/{n}"})
            for n in range(start, start + 100)
        ]
        await asyncio.gather(*hits)
    stats = await desk.stats(site)
    assert stats["visits"] + stats["left_out"]["bots"] == count
    pages = (await desk.owner.get(f"/api/sites/{site}/top/pages?limit=1000")).json()
    assert len(pages["rows"]) == 100
    referrers = (await desk.owner.get(f"/api/sites/{site}/top/referrers?limit=1000")).json()
    assert len(referrers["rows"]) == 100
    assert referrers["other"] == stats["visits"] - 100


async def test_prefix_can_be_renamed(make_settings: Callable[..., Settings], clock: Clock) -> None:
    async with running(make_settings(collect_path="numbers"), clock) as service:
        await make_cast(service)
        desk = Desk(service, await signed_in(service, "bob"), clock)
        made = (await desk.owner.post("/api/sites", json={"name": "a", "hosts": ["blog.example"]})).json()
        assert made["script"].endswith(f"/numbers/{made['id']}.js")
        assert (await desk.visitor().get(made["script"])).status_code == 200
        assert (await desk.visitor().get(f"{made['hit']}?p=/a")).status_code == 200
        assert (await desk.visitor().get(f"/c/{made['id']}?p=/a")).status_code == 404
        assert (await desk.stats(made["id"]))["visits"] == 1


def test_prefix_is_none_of_the_services_own() -> None:
    pattern = re.compile("[A-Za-z0-9_-]+")
    parts = {route.path.split("/")[1] for route in all_routes() if isinstance(route, (Route, Mount))} | {"metrics"}
    assert {part for part in parts if pattern.fullmatch(part)} - {"c"} == TAKEN_PATHS
    with pytest.raises(ValidationError, match="/static/ is taken"):
        Settings(collect_path="static")


@pytest.mark.parametrize("name", ["bad.example", "www.BAD.example", "https://bad.example/"])
async def test_spam_referrers_can_be_named(make_settings: Callable[..., Settings], clock: Clock, name: str) -> None:
    async with running(make_settings(referrer_spam=f"worse.example,{name}"), clock) as service:
        await make_cast(service)
        desk = Desk(service, await signed_in(service, "bob"), clock)
        site = await desk.site()
        await desk.visitor().get(f"/c/{site}?p=/a&r=https://www.very.bad.example/x")
        assert (await desk.stats(site))["left_out"]["spam"] == 1
