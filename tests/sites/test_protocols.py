"""The protocols of other counters, as their scripts and tools speak them."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from app.sites.protocols import busuanzi
from tests.helpers.api import problem
from tests.helpers.cast import signed_in
from tests.sites.conftest import JSON, Desk

CALLBACK = "BusuanziCallback_777487655111"
PAGE = {"Referer": "https://blog.example/a/", "Sec-Fetch-Site": "cross-site"}


async def test_busuanzi_answers_byte_for_byte(desk: Desk) -> None:
    site = await desk.site()
    await desk.visitor("198.51.100.1").get(f"/c/{site}?p=/b")
    answer = await desk.visitor().get("/busuanzi", params={"jsonpCallback": CALLBACK}, headers=PAGE)
    assert answer.text == (f'try{{{CALLBACK}({{"site_uv":2,"page_pv":1,"version":2.4,"site_pv":2}});}}catch(e){{}}')
    assert answer.text[34:-13] == '{"site_uv":2,"page_pv":1,"version":2.4,"site_pv":2}'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert await desk.top(site, "pages") == [("/b", 1, 1), ("/a", 1, 1)]


@pytest.mark.parametrize("callback", ["", "a b", "1a", "a.b", "alert(1)", "a" * 65, "a\n", "</script>"])
async def test_a_callback_that_is_no_name_is_refused(desk: Desk, callback: str) -> None:
    await desk.site()
    answer = await desk.visitor().get("/busuanzi", params={"jsonpCallback": callback}, headers=PAGE)
    assert answer.status_code == 400
    assert callback == "" or callback not in answer.text


async def test_busuanzi_needs_a_referer_of_a_site(desk: Desk) -> None:
    await desk.site()
    query = {"jsonpCallback": CALLBACK}
    assert (await desk.visitor().get("/busuanzi", params=query)).status_code == 400
    elsewhere = await desk.visitor().get("/busuanzi", params=query, headers={"Referer": "https://other.example/"})
    assert elsewhere.status_code == 404


async def test_a_host_belongs_to_the_site_that_named_it_first(desk: Desk) -> None:
    first = await desk.site()
    second = await desk.site(hosts=["blog.example", "second.example"])
    await desk.visitor().get("/busuanzi", params={"jsonpCallback": CALLBACK}, headers=PAGE)
    assert (await desk.stats(first))["visits"] == 1
    assert (await desk.stats(second))["visits"] == 0


async def test_an_administrator_gives_a_host_to_another_site(desk: Desk) -> None:
    await desk.site()
    second = await desk.site()
    query = {"jsonpCallback": CALLBACK}
    await desk.visitor().get("/busuanzi", params=query, headers=PAGE)
    problem(await desk.owner.put(f"/api/sites/{second}/hosts/blog.example"), 403)
    alice = await signed_in(desk.service, "alice")
    problem(await alice.put(f"/api/sites/{second}/hosts/other.example"), 404)
    assert (await alice.put(f"/api/sites/{second}/hosts/www.blog.example")).status_code == 204
    await desk.visitor().get("/busuanzi", params=query, headers=PAGE)
    assert (await desk.stats(second))["visits"] == 1


async def test_busuanzis_script_and_heir(desk: Desk) -> None:
    site = await desk.site()
    script = await desk.visitor().get("/busuanzi/2.3/busuanzi.pure.mini.js")
    assert script.headers["content-type"].startswith("text/javascript")
    for name in ("bszCaller", "bszTag", "busuanzi_container_", "no-referrer-when-downgrade"):
        assert name in script.text
    heir = await desk.visitor().post("/busuanzi/api", headers={"x-bsz-referer": "https://blog.example/a"})
    assert heir.json()["data"] == {"site_pv": 1, "site_uv": 1, "page_pv": 1, "page_uv": 1}
    assert (await desk.visitor().post("/busuanzi/api", headers={"x-bsz-referer": "x"})).json()["success"] is False
    assert (await desk.stats(site))["visits"] == 1


async def test_goatcounters_count_is_a_pixel(desk: Desk) -> None:
    site = await desk.site()
    for method in ("GET", "POST"):
        answer = await desk.visitor().request(
            method,
            f"/g/{site}/count",
            params={"p": "/a.html", "r": "https://news.example/", "s": "1600,900,1", "b": "0"},
        )
        assert (answer.status_code, len(answer.content)) == (200, 43)
        assert answer.headers["access-control-allow-origin"] == "*"
    assert await desk.top(site, "pages") == [("/a.html", 2, 1)]
    assert await desk.top(site, "screens") == [("desktop", 2, 1)]
    await desk.visitor().get(f"/g/{site}/count", params={"p": "download", "e": "true"})
    assert await desk.top(site, "events") == [("download", 1, 1)]
    await desk.visitor().get(f"/g/{site}/count", params={"p": "/a.html", "b": "150"})
    assert (await desk.stats(site))["left_out"]["bots"] == 1
    await desk.visitor().get(f"/g/{site}/count", params={"p": "/b", "q": "?utm_source=letter"})
    assert ("letter", 1, 0) in await desk.top(site, "referrers")


@pytest.mark.parametrize(
    "query", [{}, {"p": ""}, {"p": "a" * 2049}, {"p": "/", "t": "a" * 1025}, {"p": "/", "b": "7"}, {"p": "/", "b": "x"}]
)
async def test_goatcounters_errors_are_a_pixel_with_the_reason(desk: Desk, query: dict[str, str]) -> None:
    site = await desk.site()
    answer = await desk.visitor().get(f"/g/{site}/count", params=query)
    assert (answer.status_code, len(answer.content)) == (400, 43)
    assert answer.headers["x-goatcounter"]
    assert (await desk.stats(site))["visits"] == 0


async def test_goatcounters_visitor_counter(desk: Desk) -> None:
    site = await desk.site()
    await desk.owner.put(f"/api/sites/{site}/values", json={"path": "/a/b.html", "visits": 1233, "visitors": 1000})
    await desk.visitor().get(f"/g/{site}/count?p=/a/b.html")
    visitor = desk.visitor()
    for path in ("%2Fa%2Fb.html.json", "TOTAL.json"):
        answer = await visitor.get(f"/g/{site}/counter/{path}")
        assert answer.json() == {"count": "1\u202f234", "count_unique": "1\u202f234"}
    assert (await visitor.get(f"/g/{site}/counter/%2Fa%2Fb.html.json?start=week")).json()["count"] == "1"
    unknown = await visitor.get(f"/g/{site}/counter/%2Fnone.json")
    assert (unknown.status_code, unknown.json()["count"]) == (404, "0")
    assert "<svg" in (await visitor.get(f"/g/{site}/counter/%2Fa%2Fb.html.svg")).text
    html = await visitor.get(f"/g/{site}/counter/%2Fa%2Fb.html.html", params={"style": "</style><script>x"})
    assert "1\u202f234" in html.text
    assert "<script>" not in html.text
    assert "frame-ancestors *" in html.headers["content-security-policy"]
    for wrong in ("%2Fa.txt", "%2Fa.json?start=never", "%2Fa"):
        assert (await visitor.get(f"/g/{site}/counter/{wrong}")).status_code == 400


async def test_goatcounters_script_is_served(desk: Desk) -> None:
    site = await desk.site()
    script = await desk.visitor().get(f"/g/{site}/count.js")
    assert "goatcounter" in script.text
    assert script.headers["cross-origin-resource-policy"] == "cross-origin"


async def test_goatcounters_api_counts_what_servers_report(desk: Desk) -> None:
    token = (await desk.owner.post("/api/account/tokens", json={"name": "x"})).json()["token"]
    desk.clock.now = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
    site = await desk.site()
    program = desk.service.another_client(headers={"Authorization": f"Bearer {token}"})
    agent = {"user_agent": desk.visitor().headers["user-agent"]}
    hits: list[dict[str, Any]] = [
        agent | {"path": "/a", "ip": "198.51.100.1"},
        agent | {"path": "/b", "created_at": "2026-11-18T10:00:00Z"},
        agent | {"path": "buy", "event": True, "ip": "198.51.100.1"},
    ]
    assert (await program.post(f"/g/{site}/api/v0/count", json={"no_sessions": True, "hits": hits})).status_code == 202
    stats = await desk.stats(site, **{"from": "2026-11-18", "to": "2026-11-20"})
    assert [point["visits"] for point in stats["series"]] == [1, 0, 1]
    assert await desk.top(site, "events") == [("buy", 1, 1)]
    wrong: Any
    for wrong in ({"hits": [{}]}, {"hits": "x"}, {}, {"hits": [{"path": "/a", "created_at": "soon"}]}):
        assert (await program.post(f"/g/{site}/api/v0/count", json=wrong)).status_code == 400
    many = {"hits": [{"path": "/a"}] * 501}
    assert (await program.post(f"/g/{site}/api/v0/count", json=many)).status_code == 413
    assert (await desk.visitor().post(f"/g/{site}/api/v0/count", json={"hits": hits})).status_code == 401


async def test_first_values_are_added_once(desk: Desk) -> None:
    site = await desk.site()
    for _ in range(2):
        answer = await desk.owner.put(
            f"/api/sites/{site}/values", json={"path": "/old/", "visits": 1000, "visitors": 300}
        )
        assert answer.status_code == 204
    told = await desk.visitor().get(f"/c/{site}?p=/old", headers=JSON)
    assert told.json() == {"page": 1001, "site": 1001, "visitors": 301}
    await desk.owner.put(f"/api/sites/{site}/values", json={"path": "/old", "visits": 10})
    assert (await desk.stats(site, **{"from": "all"}))["visits"] == 11
    assert (await desk.stats(site))["visits"] == 1
    assert await desk.top(site, "pages", **{"from": "all"}) == [("/old", 11, 1)]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"path": "/a", "visits": -1}, "visits"),
        ({"path": "/a", "visits": "1"}, "visits"),
        ({"path": "/a", "visits": 1, "visitors": 2}, "visitors"),
        ({"path": "/a"}, "visits"),
        ({"path": "/%FF", "visits": 1}, "path"),
    ],
)
async def test_wrong_first_values_are_named(desk: Desk, fields: dict[str, Any], field: str) -> None:
    site = await desk.site()
    assert problem(await desk.owner.put(f"/api/sites/{site}/values", json=fields), 400)["field"] == field


def test_no_script_of_ours_has_grown() -> None:

    assert len(busuanzi.SCRIPT) < 4096
    assert not re.search(rb"localStorage|cookie", busuanzi.SCRIPT)
