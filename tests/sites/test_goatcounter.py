"""GoatCounter's protocol, as its script and tools speak it."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from app.sites.protocols.goatcounter import FRAME_STYLE
from tests.sites.conftest import Desk


async def program_of(desk: Desk) -> httpx.AsyncClient:
    """A program with a token of bob's."""
    token = (await desk.owner.post("/api/account/tokens", json={"name": "x"})).json()["token"]
    return desk.service.another_client(headers={"Authorization": f"Bearer {token}"})


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
    for name in ("download", "/download"):
        await desk.visitor().get(f"/g/{site}/count", params={"p": name, "e": "true"})
    assert await desk.top(site, "events") == [("download", 2, 1)]
    await desk.visitor().get(f"/g/{site}/count", params={"p": "/a.html", "b": "150"})
    assert (await desk.stats(site))["left_out"]["bots"] == 1
    for referrer, campaign, name in (
        ("", "?utm_source=letter", "letter"),
        ("https://mail.example/", "utm_source=post", "post"),
        ("https://mail.example/", "ref=https%3A%2F%2Fwww.paper.example%2Fx", "paper.example"),
        ("https://mail.example/", "id=7", "mail.example"),
    ):
        await desk.visitor().get(f"/g/{site}/count", params={"p": "/b", "r": referrer, "q": campaign})
        assert (name, 1, 0) in await desk.top(site, "referrers")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "p=",
        "p=" + "a" * 2049,
        "p=/&t=" + "a" * 1025,
        "p=/&r=" + "a" * 2049,
        "p=/&b=7",
        "p=/&b=x",
        "p=/%00",
        "p=/%FF",
        "p=/&r=%FF",
        "p=%0A&e=1",
        "p=+&e=1",
    ],
)
async def test_goatcounters_errors_are_a_pixel_with_the_reason(desk: Desk, query: str) -> None:
    site = await desk.site()
    answer = await desk.visitor().get(f"/g/{site}/count?{query}")
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
        assert answer.text == '{"count_unique":"1\u202f234", "count":"1\u202f234"}'
    assert (await visitor.get(f"/g/{site}/counter/%2Fa%2Fb.html.json?start=week")).json()["count"] == "1"
    unknown = await visitor.get(f"/g/{site}/counter/%2Fnone.json")
    assert (unknown.status_code, unknown.json()["count"]) == (404, "0")
    assert "<svg" in (await visitor.get(f"/g/{site}/counter/%2Fa%2Fb.html.svg")).text
    style = "div > b { content: '</style><script>x' }"
    html = await visitor.get(f"/g/{site}/counter/%2Fa%2Fb.html.html", params={"style": style})
    assert "1\u202f234" in html.text
    assert "div > b" in html.text
    assert '<span id="gcvc-for">Views for this page:</span>' in html.text
    assert "gcvc-by" in html.text
    total = await visitor.get(f"/g/{site}/counter/TOTAL.html?no_branding=1")
    assert "for this site" in total.text
    assert "gcvc-by" not in total.text.replace(FRAME_STYLE, "")
    assert "<script>" not in html.text
    assert "frame-ancestors *" in html.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("%2Fa.txt", 400),
        ("%2Fa", 400),
        ("%FF.json", 400),
        ("%00.json", 400),
        ("a" * 2049 + ".json", 400),
        ("TOTAL.json?start=never", 400),
        ("TOTAL.json?start=2026-02-30", 400),
        ("TOTAL.json?end=9999-12-31", 400),
        ("TOTAL.json?start=2026-02-02&end=2026-01-01", 400),
    ],
)
async def test_errors_of_the_visitor_counter_can_be_read_by_the_page(desk: Desk, path: str, status: int) -> None:
    site = await desk.site()
    for at, wanted in ((site, status), ("abcdefghij", 404)):
        answer = await desk.visitor().get(f"/g/{at}/counter/{path}")
        assert answer.status_code == wanted
        assert answer.json()["error"]
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"


async def test_goatcounter_says_that_an_address_is_ignored(desk: Desk) -> None:
    site = await desk.site(ignore=["198.51.100.7"])
    answer = await desk.visitor("198.51.100.7").get(f"/g/{site}/count?p=/a")
    assert (answer.status_code, len(answer.content)) == (202, 43)
    assert (await desk.visitor("198.51.100.8").get(f"/g/{site}/count?p=/a")).status_code == 200
    stats = await desk.stats(site)
    assert (stats["visits"], stats["left_out"]["own"]) == (1, 1)


async def test_goatcounters_script_is_served(desk: Desk) -> None:
    site = await desk.site()
    script = await desk.visitor().get(f"/g/{site}/count.js")
    assert "goatcounter" in script.text
    assert script.headers["cross-origin-resource-policy"] == "cross-origin"


async def test_goatcounter_api_counts_hits_of_servers(desk: Desk) -> None:
    program = await program_of(desk)
    desk.clock.now = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
    site = await desk.site()
    agent = {"user_agent": desk.visitor().headers["user-agent"]}
    hits: list[dict[str, Any]] = [
        agent | {"path": "/a", "ip": "198.51.100.1"},
        agent | {"path": "/b", "created_at": "2026-11-18T10:00:00Z"},
        agent | {"path": "buy", "event": True, "ip": "198.51.100.1"},
    ]
    assert (await program.post(f"/g/{site}/api/v0/count", json={"hits": hits})).status_code == 202
    stats = await desk.stats(site, **{"from": "2026-11-18", "to": "2026-11-20"})
    assert [point["visits"] for point in stats["series"]] == [1, 0, 1]
    assert await desk.top(site, "events") == [("buy", 1, 1)]
    many = {"hits": [{"path": "/a"}] * 501}
    assert (await program.post(f"/g/{site}/api/v0/count", json=many)).status_code == 413
    refused = await desk.visitor().post(f"/g/{site}/api/v0/count", json={"hits": hits})
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("fields", "visitors"),
    [
        ({"hits": [{"path": "/a", "session": "1"}, {"path": "/b", "session": "1"}, {"path": "/a", "session": "2"}]}, 2),
        ({"hits": [{"path": "/a"}] * 3, "no_sessions": True}, 0),
        ({"hits": [{"path": "/a", "ip": f"192.0.2.{n}", "session": None} for n in range(3)]}, 3),
    ],
)
async def test_goatcounters_api_tells_visitors_apart_by_session(
    desk: Desk, fields: dict[str, Any], visitors: int
) -> None:
    program = await program_of(desk)
    site = await desk.site()
    assert (await program.post(f"/g/{site}/api/v0/count", json=fields)).status_code == 202
    stats = await desk.stats(site)
    assert (stats["visits"], stats["visitors"]) == (3, visitors)


@pytest.mark.parametrize(
    ("fields", "visits", "named"), [({}, 1, "1"), ({"filter": ["ip"]}, 1, "1"), ({"filter": []}, 2, None)]
)
async def test_goatcounters_api_leaves_out_own_addresses_unless_it_is_told_otherwise(
    desk: Desk, fields: dict[str, Any], visits: int, named: str | None
) -> None:
    program, site = await program_of(desk), await desk.site(ignore=["198.51.100.7"])
    hits = [{"path": "/a", "ip": "198.51.100.8"}, {"path": "/a", "ip": "198.51.100.7"}]
    answer = await program.post(f"/g/{site}/api/v0/count", json={"hits": hits} | fields)
    assert (answer.status_code, answer.headers.get("x-goatcounter-filter")) == (202, named)
    assert (await desk.stats(site))["visits"] == visits


WRONG_HITS = [
    (b"", "body: "),
    (b"[1]", "body: "),
    (b"{}", "hits"),
    (b'{"hits": "x"}', "hits"),
    (b'{"hits": []}', "hits: must have at least 1 item"),
    (b'{"hits": [{"path": "/a"}], "filter": ["agent"]}', "filter.0"),
    (b'{"hits": [{}]}', "hits.0.path"),
    (b'{"hits": [{"path": ""}]}', "hits.0.path"),
    (b'{"hits": [{"path": 1}]}', "hits.0.path"),
    (b'{"hits": [{"path": "/a"}, {"path": "/\\u0000"}]}', "hits.1"),
    (b'{"hits": [{"path": "/a", "created_at": "soon"}]}', "hits.0.created_at"),
    (b'{"hits": [{"path": "/a", "event": "yes"}]}', "hits.0.event"),
    (b'{"hits": [{"path": "/a", "ip": ["1"]}]}', "hits.0.ip"),
    (b'{"hits": [{"path": "/\xff"}]}', "body: "),
]


async def test_goatcounter_api_names_the_wrong_member(desk: Desk) -> None:
    program = await program_of(desk)
    site = await desk.site()
    for body, field in WRONG_HITS:
        answer = await program.post(f"/g/{site}/api/v0/count", content=body)
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/json")
        assert answer.json()["error"].startswith(field)
    assert (await desk.stats(site))["visits"] == 0


async def test_path_of_a_wiki_is_one_page_however_it_is_sent(desk: Desk) -> None:
    site, page = await desk.site(public=True), "Category:Foo"
    visitor = desk.visitor()
    for url in (f"/c/{site}?p={page}", f"/c/{site}?u={page}", f"/g/{site}/count?p={page}"):
        assert (await visitor.get(url)).status_code == 200
    first = await desk.owner.put(f"/api/sites/{site}/values", json={"path": page, "visits": 10})
    assert first.status_code == 204
    imported = await desk.owner.post(f"/api/sites/{site}/imports", content=f"path,visits\n{page},100\n")
    assert imported.status_code == 201
    assert (await visitor.get(f"/c/{site}/count?p={page}")).json()["page"] == 113
    assert (await visitor.get(f"/g/{site}/counter/{page}.json")).json()["count"] == "113"
    assert (await visitor.get(f"/badge/{site}.json?path={page}")).json()["message"] == "113"
    assert (await desk.stats(site, path=page))["visits"] == 3
    assert await desk.top(site, "pages") == [("/Category:Foo", 3, 1)]


async def test_program_of_a_user_who_lacks_a_demanded_second_factor_is_refused(desk: Desk) -> None:
    program, site = await program_of(desk), await desk.site()
    desk.service.state["live_settings"].apply({"second_factor": "everybody"})
    answer = await program.post(f"/g/{site}/api/v0/count", json={"hits": [{"path": "/a"}]})
    assert answer.status_code == 401
