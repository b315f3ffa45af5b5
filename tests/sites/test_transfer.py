"""Moving in and out: the exports of other counters, and our own."""

import asyncio
import gzip
import io
import zipfile
from typing import Any

import httpx
import pytest

from app.sites.counting_script import MAX_OF_LIST, PACKED
from app.sites.transfer import importer
from app.sites.transfer.unpack import BadFile
from tests.helpers.api import problem
from tests.helpers.valkey import Valkey
from tests.sites.conftest import Desk

ALL = {"from": "all"}
SESSION = "287fb97cbed4e4f-8e4f5c975b8fee06"
GOATCOUNTER = f"""\
2Path,Title,Event,UserAgent,Browser,System,Session,Bot,Referrer,Referrer scheme,Screen size,Location,FirstVisit,Date
/a.html,"A, b",0,,Chrome 86,Windows 7,{SESSION},0,www.reddit.com,h,"1280,768,1",AR,1,2020-12-01T00:07:10Z
/a.html,"A, b",0,,Chrome 86,Windows 7,{SESSION},0,,,"1280,768,1",AR,0,2020-12-01T00:08:10Z
/b.html,B,0,,Firefox 80,Linux,aa,0,,,"1280,768,1",DE,1,2020-12-02T10:00:00Z
/b.html,B,0,,Firefox 80,Linux,bb,7,,,"1280,768,1",DE,1,2020-12-02T10:00:00Z
click,,1,,Firefox 80,Linux,aa,0,,,,DE,1,2020-12-02T10:00:00Z
"""
UMAMI = (
    "website_id,session_id,visit_id,event_id,hostname,browser,os,device,language,country,url_path,url_query,"
    "referrer_domain,event_type,event_name,created_at\n"
    "w,s1,v1,e1,blog.example,chrome,Windows,desktop,en-US,US,/a/,utm_source=x,news.example,1,,2026-03-01 10:00:00\n"
    "w,s1,v1,e2,blog.example,chrome,Windows,desktop,en-US,US,/b,,,1,,2026-03-01 10:01:00\n"
    "w,s2,v2,e3,blog.example,firefox,Linux,desktop,de,DE,/a,,,1,,2026-03-02 10:00:00\n"
    "w,s2,v2,e4,blog.example,firefox,Linux,desktop,de,DE,/a,,,2,buy,2026-03-02 10:00:00\n"
)


def zipped(method: int = zipfile.ZIP_DEFLATED, **files: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "."), text)
    return packed.getvalue()


PLAUSIBLE = zipped(
    imported_pages_20260101_20260102__csv=(
        "date,hostname,page,visits,visitors,pageviews,total_scroll_depth\n"
        '"2026-01-01","blog.example","/a",3,2,5,\\N\n"2026-01-02","blog.example","/b",1,1,1,\\N\n'
    ),
    imported_visitors_20260101_20260102__csv=(
        "date,visitors,pageviews,bounces,visits,visit_duration\n2026-01-01,2,5,0,3,10\n2026-01-02,1,1,0,1,1\n"
    ),
    imported_browsers_20260101_20260102__csv="date,browser,visitors,visits,pageviews\n2026-01-01,Firefox,2,3,5\n",
    imported_devices_20260101_20260102__csv="date,device,visitors,visits,pageviews\n2026-01-01,Mobile,2,3,5\n",
    imported_custom_events_20260101_20260102__csv="date,name,link_url,path,visitors,events\n2026-01-01,buy,,,1,3\n",
    imported_sources_20260101_20260102__csv="date,source,visitors,visits,pageviews\n2026-01-01,Google,1,1,2\n",
)
GOATCOUNTER_ZIP = zipped(
    paths__jsonl='{"id": 1, "path": "/a", "event": 0}\n{"id": 2, "path": "x", "event": 1}\n',
    hit_stats__jsonl='{"hour": "2026-01-01T10:00:00Z", "path_id": 1, "ref_id": 1, "count": 4}\n',
)
UMAMI_CLOUD_ZIP = zipped(website_event__csv=UMAMI, session_data__csv="website_id\n")
UMAMI_ZIP = zipped(pages__csv="x,y\n/a,7\n/b,2\n")
PLAIN = "path,visits,visitors,date\n/a,10,4,2026-02-01\n/b/,3,,2026-02-02\n/a,5,1,\n"


async def send(desk: Desk, site: str, body: bytes | str, **query: str) -> httpx.Response:
    return await desk.owner.post(f"/api/sites/{site}/imports", params=query, content=body)


async def everything(desk: Desk, site: str) -> dict[str, Any]:
    lists = ("pages", "referrers", "browsers", "events")
    stats = await desk.stats(site, **ALL)
    return {
        "visits": stats["visits"],
        "visitors": stats["visitors"],
        "days": {p["at"]: (p["visits"], p["visitors"]) for p in stats["series"] if p["visits"] or p["visitors"]},
        **{kind: await desk.top(site, kind, **ALL) for kind in lists},
    }


@pytest.mark.parametrize(
    ("kind", "body", "visits", "visitors", "pages", "day"),
    [
        ("goatcounter", GOATCOUNTER.encode(), 3, 2, [("/a.html", 2, 1), ("/b.html", 1, 1)], ("2020-12-01", (2, 1))),
        ("goatcounter", gzip.compress(GOATCOUNTER.encode()), 3, 2, None, ("2020-12-02", (1, 1))),
        ("goatcounter", GOATCOUNTER_ZIP, 4, 4, [("/a", 4, 4)], ("2026-01-01", (4, 4))),
        ("umami", UMAMI.encode(), 3, 2, [("/a", 2, 2), ("/b", 1, 1)], ("2026-03-01", (2, 1))),
        ("umami", UMAMI_CLOUD_ZIP, 3, 2, [("/a", 2, 2), ("/b", 1, 1)], ("2026-03-02", (1, 1))),
        ("umami", UMAMI_ZIP, 9, 9, [("/a", 7, 7), ("/b", 2, 2)], None),
        ("plausible", PLAUSIBLE, 6, 3, [("/a", 5, 2), ("/b", 1, 1)], ("2026-01-01", (5, 2))),
        ("plain", PLAIN.encode(), 18, 5, [("/a", 15, 5), ("/b", 3, 0)], ("2026-02-01", (10, 4))),
    ],
)
async def test_export_of_another_counter_is_looked_at_imported_once_and_taken_back(
    desk: Desk,
    server: Valkey,
    kind: str,
    body: bytes,
    visits: int,
    visitors: int,
    pages: list[tuple[str, int, int]] | None,
    day: tuple[str, tuple[int, int]] | None,
) -> None:
    site = await desk.site()
    looked = await send(desk, site, body, preview="1")
    assert looked.status_code == 200
    assert looked.json()["visits"] == visits
    assert (await desk.stats(site, **ALL))["visits"] == 0
    added, at_once = await asyncio.gather(*(send(desk, site, body, format=kind) for _ in range(2)))
    assert (added.status_code, at_once.json()) == (201, added.json())
    found = await everything(desk, site)
    assert (found["visits"], found["visitors"]) == (visits, visitors)
    assert pages is None or found["pages"] == pages
    assert day is None or found["days"][day[0]] == day[1]
    for same in (body, gzip.compress(body)) if body[:2] not in {b"PK", b"\x1f\x8b"} else (body,):
        assert (await send(desk, site, same)).json() == added.json()
    assert await everything(desk, site) == found
    listed = (await desk.owner.get(f"/api/sites/{site}/imports")).json()["imports"]
    assert [each["id"] for each in listed] == [added.json()["id"]]
    assert (await desk.owner.delete(f"/api/sites/{site}/imports/{added.json()['id']}")).status_code == 204
    emptied = await everything(desk, site)
    assert (emptied["visits"], emptied["visitors"], emptied["days"]) == (0, 0, {})
    assert emptied["browsers"] == emptied["referrers"] == emptied["events"] == []
    problem(await desk.owner.delete(f"/api/sites/{site}/imports/{added.json()['id']}"), 404)
    await desk.owner.delete(f"/api/sites/{site}")
    with server.client as client:
        assert list(client.keys(f"*{site}*")) == []


async def test_lists_of_an_export_come_along(desk: Desk) -> None:
    site = await desk.site()
    await send(desk, site, GOATCOUNTER)
    assert await desk.top(site, "referrers", **ALL) == [("reddit.com", 1, 1)]
    assert await desk.top(site, "browsers", **ALL) == [("Chrome", 2, 1), ("Firefox", 1, 1)]
    assert await desk.top(site, "screens", **ALL) == [("laptop", 3, 2)]
    assert [row[:2] for row in await desk.top(site, "events", **ALL)] == [("click", 1)]
    plausible = await desk.site()
    await send(desk, plausible, PLAUSIBLE)
    assert await desk.top(plausible, "screens", **ALL) == [("phone", 5, 2)]
    assert await desk.top(plausible, "events", **ALL) == [("buy", 3, 1)]
    assert await desk.top(plausible, "referrers", **ALL) == [("google", 2, 1)]


async def test_name_may_have_many_visits_on_a_day_and_no_more_than_can_be_counted(desk: Desk) -> None:
    site = await desk.site()
    row = '{"list": "b", "name": "Firefox", "visits": %d, "visitors": %d, "date": "2026-02-01", "n": %d}\n'
    for number in range(20):
        assert (await send(desk, site, row % (MAX_OF_LIST, MAX_OF_LIST, number))).status_code == 201
    assert await desk.top(site, "browsers", **ALL) == [("Firefox", 20 * MAX_OF_LIST, 20 * MAX_OF_LIST)]
    assert 200 * MAX_OF_LIST < PACKED
    for visits, visitors in ((MAX_OF_LIST + 1, 0), (0, 10**12)):
        assert "Firefox" in problem(await send(desk, site, row % (visits, visitors, 0)), 400)["detail"]
    page = f"/a,{10**12},0,2026-02-01\n"
    assert "visits" in problem(await send(desk, site, "path,visits,visitors,date\n" + page * 1001), 400)["detail"]
    assert (await desk.stats(site, **ALL))["visits"] == 0
    assert (await send(desk, site, "path,visits,visitors,date\n" + page)).status_code == 201
    await desk.visitor().get(f"/c/{site}?p=/a")
    assert await desk.top(site, "pages", **ALL) == [("/a", 10**12 + 1, 1)]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
async def test_our_own_export_can_be_imported_again(desk: Desk, kind: str) -> None:
    site, other = await desk.site(max_paths=3), await desk.site(max_paths=3, hosts=["other.example"])
    await send(desk, site, PLAIN)
    await desk.owner.put(f"/api/sites/{site}/values", json={"path": "", "visits": 100, "visitors": 50})
    for address in ("198.51.100.1", "198.51.100.2"):
        for path in ("/a", "/c, d", "/e"):
            await desk.visitor(address).get(f"/c/{site}", params={"p": path, "r": "https://news.example/"})
    export = await desk.owner.get(f"/api/sites/{site}/export", params={"format": kind})
    assert export.headers["content-disposition"].endswith(f'{site}.{kind}"')
    assert (await send(desk, other, export.content)).status_code == 201
    mine, theirs = await everything(desk, site), await everything(desk, other)
    others = [(await desk.owner.get(f"/api/sites/{each}/top/pages", params=ALL)).json() for each in (site, other)]
    assert others[0] == others[1]
    assert others[0]["other"] == 2
    if kind == "csv":
        for found in (mine, theirs):
            found.pop("referrers"), found.pop("browsers")
    assert theirs == mine


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "empty"),
        (b"path,hits\n/a,1\n", "line 1"),
        (b"path,visits\n/a,many\n", "line 2"),
        (b"path,visits\n/a,-1\n", "line 2"),
        (b"path,visits\n/a,1\n/b\n", "line 3"),
        (b"path,visits\n/a,1,1\n", "line 2"),
        (b"path,visits,visitors\n/a,1,2\n", "line 2"),
        (b"path,visits,date\n/a,1,yesterday\n", "line 2"),
        (b"path,visits,date\n/a,1,9999-12-31\n", "line 2"),
        (GOATCOUNTER.replace("2020-12-01T00:07:10Z", "0001-01-01T00:00:00Z").encode(), "line 2"),
        (b"path,visits\n/a\xff,1\n", "line 2"),
        ("path,visits\n/a,1\n".encode("utf-16"), "line 1"),
        (b"path,visits\n/%FF,1\n", "line 2"),
        (b'path,visits\n"/a,1\n', "line 2"),
        (b"path,visits\n/a," + b"9" * 70_000 + b"\n", "line 2"),
        (b"\x1f\x8bnothing", "damaged"),
        (b"PK\x03\x04nothing", "ZIP"),
        (zipped(readme__txt="x"), "known"),
        (UMAMI_ZIP.replace(b"PK\x03\x04", b"PK\x03\x05", 1), "damaged"),
        (UMAMI_ZIP.replace(b"pages.csv", b"pages.xls", 1), "damaged"),
        (zipped(pages__csv="x,y\n/a,1\n", method=zipfile.ZIP_BZIP2), "deflate"),
        (zipped(paths__jsonl='{"id": [1], "path": "/a"}\n', hit_stats__jsonl=""), "paths.jsonl, line 1: id"),
        (zipped(paths__jsonl="", hit_stats__jsonl='\n{"path_id": {}}\n'), "hit_stats.jsonl, line 2: path_id"),
        (b'{"path": "/a", "visits": "x"}\n', "line 1"),
        (b'{"path": "/a"', "line 1"),
        (b'{"path": "/a"}', "line 1: visits"),
        (b'{"visits": 1}', "line 1: path"),
        (b'{"path": 5, "visits": 1}', "line 1: path"),
        (b'{"path": "/a", "visits": true}', "line 1: visits"),
        (b'{"list": "z", "name": "x", "visits": 1, "date": "2026-01-01"}', "line 1: list"),
        (b'{"list": "r", "name": "x", "visits": 1}', "line 1: date"),
        (b"path,visits\n/a,\n", "line 2: visits"),
        (b"path,visits,date\n/a,1,2026-W01-1\n", "line 2"),
    ],
)
async def test_file_with_a_mistake_is_refused_whole_and_the_line_named(desk: Desk, body: bytes, named: str) -> None:
    site = await desk.site()
    answer = problem(await send(desk, site, body), 400)
    assert answer["field"] == "body"
    assert named in answer["detail"]
    assert (await desk.stats(site, **ALL))["visits"] == 0
    assert (await desk.owner.get(f"/api/sites/{site}/imports")).json() == {"imports": []}


async def test_unknown_format_is_named(desk: Desk) -> None:
    site = await desk.site()
    assert problem(await send(desk, site, PLAIN, format="matomo"), 400)["field"] == "format"
    assert problem(await send(desk, site, PLAIN, preview="yes"), 400)["field"] == "preview"
    assert problem(await desk.owner.get(f"/api/sites/{site}/export?format=xml"), 400)["field"] == "format"


@pytest.mark.parametrize(
    "bomb",
    [
        gzip.compress(b"path,visits\n" + b"/a,1\n" * 100_000),
        zipped(pages__csv="x,y\n" + "/a,1\n" * 100_000),
    ],
)
async def test_small_file_that_unpacks_to_a_large_one_is_refused(desk: Desk, bomb: bytes) -> None:
    site = await desk.site()
    desk.service.state["importer"]._most = lambda: 100_000
    assert len(bomb) < 10_000
    problem(await send(desk, site, bomb), 413)
    problem(await send(desk, site, b"path,visits\n" + b"/a,1\n" * 100_000), 413)
    assert (await desk.stats(site, **ALL))["visits"] == 0


async def test_import_that_was_interrupted_goes_on_where_it_was(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importer, "ROWS_PER_CALL", 2)
    site = await desk.site()
    rows = "".join(f"/{n},{n},0,2026-02-01\n" for n in range(1, 21))
    original, calls = importer.Importer._apply_piece, 0

    async def fails(self: importer.Importer, *arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            await original(self, *arguments)  # applied, but the answer is lost
            raise BadFile("interrupted")
        await original(self, *arguments)

    monkeypatch.setattr(importer.Importer, "_apply_piece", fails)
    assert (await send(desk, site, "path,visits,visitors,date\n" + rows)).status_code == 400
    assert (await send(desk, site, "path,visits,visitors,date\n" + rows)).status_code == 201
    assert (await desk.stats(site, **ALL))["visits"] == sum(range(1, 21))


async def test_import_needs_the_right_to_edit(desk: Desk) -> None:
    site = await desk.site()
    stranger = desk.service.another_client()
    problem(await stranger.post(f"/api/sites/{site}/imports", content=PLAIN), 401)
    problem(await stranger.get(f"/api/sites/{site}/export"), 401)


async def test_page_offers_import_export_and_undo(desk: Desk) -> None:
    site = await desk.site()
    added = (await send(desk, site, PLAIN)).json()
    page = (await desk.owner.get(f"/sites/{site}/transfer")).text
    assert added["id"] in page
    assert f"/api/sites/{site}/export?format=jsonl" in page
    undone = await desk.owner.post(f"/sites/{site}/imports/undo", data={"id": added["id"]})
    assert undone.status_code == 303
    assert (await desk.stats(site, **ALL))["visits"] == 0
