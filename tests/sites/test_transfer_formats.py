"""What comes along from the exports of other counters, and under which names."""

import pytest

from tests.helpers.api import problem
from tests.sites.conftest import Desk
from tests.sites.test_transfer import (
    ALL,
    GOATCOUNTER,
    GOATCOUNTER_ZIP,
    PLAIN,
    PLAUSIBLE,
    UMAMI,
    UMAMI_CLOUD_ZIP,
    UMAMI_ZIP,
    everything,
    send,
    zipped,
)

JSON_LINES = zipped(
    paths__jsonl=(
        '{"id":1,"path":"/a","title":"AAA","event":false}\n{"id":2,"path":"/b/","title":"BBB","event":false}\n'
        '{"id":3,"path":"click","title":"","event":true}\n'
    ),
    refs__jsonl='{"id":1,"ref":"","ref_scheme":"o"}\n{"id":2,"ref":"www.example.com/x.html","ref_scheme":"h"}\n',
    browsers__jsonl='{"id":1,"name":"Firefox","version":"80"}\n{"id":2,"name":"Firefox","version":"81"}\n',
    systems__jsonl='{"id":1,"name":"macOS","version":"10.15"}\n{"id":2,"name":"","version":""}\n',
    hit_stats__jsonl=(
        '{"hour":"2001-04-05T15:00:00Z","path_id":1,"ref_id":1,"count":2}\n'
        '{"hour":"2001-04-05T16:00:00Z","path_id":2,"ref_id":2,"count":1}\n'
        '{"hour":"2001-04-05T16:00:00Z","path_id":3,"ref_id":2,"count":4}\n'
    ),
    browser_stats__jsonl=(
        '{"day":"2001-04-05","path_id":1,"browser_id":1,"count":2}\n'
        '{"day":"2001-04-05","path_id":2,"browser_id":2,"count":1}\n'
        '{"day":"2001-04-05","path_id":3,"browser_id":2,"count":4}\n'
    ),
    system_stats__jsonl=(
        '{"day":"2001-04-05","path_id":1,"system_id":1,"count":2}\n'
        '{"day":"2001-04-05","path_id":2,"system_id":2,"count":1}\n'
    ),
    location_stats__jsonl='{"day":"2001-04-05","path_id":1,"location":"DE-BW","count":2}\n',
    size_stats__jsonl=(
        '{"day":"2001-04-05","path_id":1,"width":1920,"count":2}\n{"day":"2001-04-05","path_id":2,"width":0,"count":1}\n'
    ),
    language_stats__jsonl='{"day":"2001-04-05","path_id":1,"language":"","count":2}\n',
)
"""The form of GoatCounter's own test of its export."""


async def test_lists_and_events_of_goatcounters_json_lines_come_along(desk: Desk) -> None:
    site = await desk.site()
    assert (await send(desk, site, JSON_LINES)).json()["visits"] == 3
    found = await everything(desk, site)
    assert (found["visits"], found["visitors"]) == (3, 3)
    assert found["pages"] == [("/a", 2, 2), ("/b", 1, 1)]
    assert found["referrers"] == [("example.com", 1, 1)]
    assert found["browsers"] == [("Firefox", 3, 3)]
    assert found["events"] == [("click", 4, 4)]
    assert await desk.top(site, "systems", **ALL) == [("Mac OS X", 2, 2)]
    assert await desk.top(site, "countries", **ALL) == [("DE", 2, 2)]
    assert await desk.top(site, "screens", **ALL) == [("desktop", 2, 2)]


async def test_browsers_and_systems_have_the_names_that_hits_have(desk: Desk) -> None:
    site = await desk.site()
    await send(desk, site, UMAMI.replace("chrome,Windows,", "crios,Windows 10,"))
    await desk.visitor().get(f"/c/{site}?p=/a")
    assert await desk.top(site, "browsers", **ALL) == [("Chrome", 3, 2), ("Firefox", 1, 1)]
    assert await desk.top(site, "systems", **ALL) == [("Linux", 2, 2), ("Windows", 2, 1)]


async def test_first_version_of_goatcounters_csv_has_words_for_flags(desk: Desk) -> None:
    header = "1Path,Title,Event,Bot,Session,FirstVisit,Referrer,Referrer scheme,Browser,Screen size,Location,Date\n"
    rows = (
        "/a,A,false,0,s1,true,,,Chrome 86,,DE,2020-12-01T00:07:10Z\n"
        'click,,true,0,s1,true,,,Chrome 86,"1280,768,1",DE,2020-12-01T00:07:10Z\n'
    )
    site = await desk.site()
    assert (await send(desk, site, header + rows)).json()["visits"] == 1
    assert [name for name, _, _ in await desk.top(site, "events", **ALL)] == ["click"]


async def test_name_with_control_characters_is_exported_so_that_it_can_be_imported(desk: Desk) -> None:
    site, other = await desk.site(), await desk.site(hosts=["other.example"])
    await send(desk, site, GOATCOUNTER.replace("click,,1", '"cli\nck",,1'))
    export = await desk.owner.get(f"/api/sites/{site}/export?format=jsonl")
    assert (await send(desk, other, export.content)).status_code == 201
    assert await desk.top(other, "events", **ALL) == await desk.top(site, "events", **ALL)


@pytest.mark.parametrize("kind", ["goatcounter", "umami", "plausible", "plain"])
async def test_file_of_another_format_than_named_is_refused(desk: Desk, kind: str) -> None:
    site = await desk.site()
    files: dict[str, tuple[str | bytes, ...]] = {
        "goatcounter": (GOATCOUNTER, GOATCOUNTER_ZIP),
        "umami": (UMAMI, UMAMI_ZIP, UMAMI_CLOUD_ZIP),
        "plausible": (PLAUSIBLE,),
        "plain": (PLAIN,),
    }
    for name in files.keys() - {kind}:
        for body in files[name]:
            assert problem(await send(desk, site, body, format=kind), 400)["field"] == "body"
    assert (await desk.stats(site, **ALL))["visits"] == 0


@pytest.mark.parametrize(
    ("domain", "listed"),
    [("t.co", "twitter.com"), ("www.news.example", "news.example"), ("www.blog.example", None), ("[x", None)],
)
async def test_referrers_of_umami_have_the_names_of_hits(desk: Desk, domain: str, listed: str | None) -> None:
    site = await desk.site()
    assert (await send(desk, site, UMAMI.replace("news.example", domain))).status_code == 201
    assert [row[0] for row in await desk.top(site, "referrers", **ALL)] == ([listed] if listed else [])
