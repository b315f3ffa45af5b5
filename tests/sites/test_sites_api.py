"""Sites: who makes them, who may see and change them, what is left after they are removed."""

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock

import httpx
import pytest

from app.sites import api, people_api
from app.store.client import StoreUnavailable
from tests.helpers.api import problem
from tests.helpers.cast import signed_in
from tests.sites.conftest import JSON, Desk


async def test_site_is_made_with_defaults_and_the_line_to_paste(desk: Desk) -> None:
    answer = await desk.owner.post("/api/sites", json={"name": "Blog", "hosts": ["www.Blog.example"]})
    assert answer.status_code == 201
    site = answer.json()
    assert len(site["id"]) == 10
    assert site["id"].isalnum()
    assert site["script"] == f"http://tallygate.test/c/{site['id']}.js"
    assert site["hit"] == f"http://tallygate.test/c/{site['id']}"
    assert site["script"] in site["tag"]
    assert (site["time_zone"], site["privacy"], site["max_paths"], site["public"]) == ("UTC", "total", 10_000, False)
    listed = (await desk.owner.get("/api/sites")).json()["sites"]
    assert [each["id"] for each in listed] == [site["id"]]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "", "hosts": ["a.example"]}, "name"),
        ({"name": "x" * 101, "hosts": ["a.example"]}, "name"),
        ({"name": "a\nb", "hosts": ["a.example"]}, "name"),
        ({"name": "a"}, "hosts"),
        ({"hosts": ["a.example"]}, "name"),
        ({"name": "a", "hosts": []}, "hosts"),
        ({"name": "a", "hosts": "a.example"}, "hosts"),
        ({"name": "a", "hosts": ["https://a.example"]}, "hosts"),
        ({"name": "a", "hosts": ["a.example:80"]}, "hosts"),
        ({"name": "a", "hosts": ["a b"]}, "hosts"),
        ({"name": "a", "hosts": [1]}, "hosts"),
        ({"name": "a", "hosts": ["a.example"], "time_zone": "Mars/Olympus"}, "time_zone"),
        ({"name": "a", "hosts": ["a.example"], "time_zone": "../../etc/passwd"}, "time_zone"),
        ({"name": "a", "hosts": ["a.example"], "time_zone": "localtime"}, "time_zone"),
        ({"name": "\u202ea", "hosts": ["a.example"]}, "name"),
        ({"name": "a", "hosts": ["a.example"], "max_paths": 0}, "max_paths"),
        ({"name": "a", "hosts": ["a.example"], "max_paths": True}, "max_paths"),
        ({"name": "a", "hosts": ["a.example"], "privacy": "none"}, "privacy"),
        ({"name": "a", "hosts": ["a.example"], "public": "yes"}, "public"),
        ({"name": "a", "hosts": ["a.example"], "frame": ["*"]}, "frame"),
        ({"name": "a", "hosts": ["a.example"], "frame": ["https://a.example/x"]}, "frame"),
        ({"name": "a", "hosts": ["a.example"], "ignore": ["300.1.1.1"]}, "ignore"),
        ({"name": "a", "hosts": ["a.example"], "keep_query": ["a b"]}, "keep_query"),
        ({"name": "a", "hosts": ["a.example"], "colour": "red"}, "colour"),
    ],
)
async def test_wrong_field_is_named(desk: Desk, fields: dict[str, Any], field: str) -> None:
    assert problem(await desk.owner.post("/api/sites", json=fields), 400)["field"] == field
    assert (await desk.owner.get("/api/sites")).json() == {"sites": []}


async def test_removal_of_a_site_that_redis_interrupts_can_be_repeated(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await desk.site()
    with monkeypatch.context() as patch:
        patch.setattr(api, "remove_counts", AsyncMock(side_effect=StoreUnavailable("away", sent=False)))
        problem(await desk.owner.delete(f"/api/sites/{site}"), 503)
    assert (await desk.owner.delete(f"/api/sites/{site}")).status_code == 204
    problem(await desk.owner.get(f"/api/sites/{site}"), 404)


async def test_changed_settings_apply_together_to_later_hits(desk: Desk) -> None:
    site = await desk.site()
    changes = {"keep_query": ["id"], "trailing_slash": True, "lower_case": True, "hosts": ["other.example"]}
    changed = await desk.owner.patch(f"/api/sites/{site}", json=changes)
    assert changed.json().items() >= changes.items()
    await desk.visitor().get(f"/c/{site}", params={"u": "https://other.example/A/?id=7&x=1"})
    await desk.visitor().get(f"/c/{site}", params={"u": "https://blog.example/"})
    assert [name for name, _, _ in await desk.top(site, "pages")] == ["/a/?id=7"]
    assert problem(await desk.owner.patch(f"/api/sites/{site}", json={"max_paths": -1}), 400)["field"] == "max_paths"


async def test_others_see_a_site_only_as_far_as_they_may(desk: Desk) -> None:
    site = await desk.site()
    charlie, alice = await signed_in(desk.service, "charlie"), await signed_in(desk.service, "alice")
    anybody = desk.service.another_client()
    problem(await charlie.get(f"/api/sites/{site}"), 404)
    problem(await anybody.get(f"/api/sites/{site}"), 401)
    problem(await anybody.get(f"/api/sites/{site}/stats"), 404)
    assert (await alice.get(f"/api/sites/{site}")).json()["may"] == "own"

    await desk.owner.put(f"/api/sites/{site}/people/charlie", json={"may": "view"})
    assert (await charlie.get(f"/api/sites/{site}")).json()["may"] == "view"
    assert [each["id"] for each in (await charlie.get("/api/sites")).json()["sites"]] == [site]
    problem(await charlie.patch(f"/api/sites/{site}", json={"name": "Mine"}), 403)
    await desk.owner.put(f"/api/sites/{site}/people/charlie", json={"may": "edit"})
    assert (await charlie.patch(f"/api/sites/{site}", json={"name": "Ours"})).json()["name"] == "Ours"
    problem(await charlie.delete(f"/api/sites/{site}"), 403)
    assert (await desk.owner.delete(f"/api/sites/{site}/people/charlie")).status_code == 204
    problem(await charlie.get(f"/api/sites/{site}"), 404)
    problem(await desk.owner.delete(f"/api/sites/{site}/people/charlie"), 404)
    problem(await desk.owner.put(f"/api/sites/{site}/people/nobody", json={"may": "view"}), 404)
    assert (
        problem(await desk.owner.put(f"/api/sites/{site}/people/charlie", json={"may": "all"}), 400)["field"] == "may"
    )


async def test_site_is_given_away_and_an_administrator_takes_over_that_of_a_removed_user(desk: Desk) -> None:
    site, kept = await desk.site(), await desk.site()
    charlie, alice = await signed_in(desk.service, "charlie"), await signed_in(desk.service, "alice")
    problem(await desk.owner.get("/api/admin/sites"), 403)
    problem(await charlie.put(f"/api/sites/{site}/owner", json={"name": "charlie"}), 404)
    problem(await desk.owner.put(f"/api/sites/{site}/owner", json={"name": "nobody"}), 404)
    assert (await desk.owner.put(f"/api/sites/{site}/owner", json={"name": "charlie"})).status_code == 204
    problem(await desk.owner.get(f"/api/sites/{site}"), 404)
    assert [each["may"] for each in (await charlie.get("/api/sites")).json()["sites"]] == ["own"]

    removed = await desk.service.state["accounts"].by_name("charlie")
    await desk.service.state["accounts"].remove(removed)
    listed = (await alice.get("/api/admin/sites")).json()["sites"]
    assert {each["id"]: each["owner"] for each in listed} == {site: None, kept: "bob"}
    after = listed[0]["id"]
    assert len((await alice.get("/api/admin/sites", params={"after": after})).json()["sites"]) == 1
    assert (await alice.put(f"/api/sites/{site}/owner", json={"name": "alice"})).status_code == 204
    assert [each["id"] for each in (await alice.get("/api/sites")).json()["sites"]] == [site]


async def test_share_shows_the_figures_until_it_is_withdrawn(desk: Desk) -> None:
    site = await desk.site()
    share = (await desk.owner.post(f"/api/sites/{site}/shares")).json()
    assert share["token"] in share["url"]
    anybody = desk.service.another_client()
    query = {"share": share["token"]}
    assert (await anybody.get(f"/api/sites/{site}/stats", params=query)).status_code == 200
    problem(await anybody.get(f"/api/sites/{site}/stats", params={"share": "x"}), 404)
    assert (await desk.owner.delete(f"/api/sites/{site}/shares/{share['token']}")).status_code == 204
    problem(await anybody.get(f"/api/sites/{site}/stats", params=query), 404)
    await desk.owner.patch(f"/api/sites/{site}", json={"public": True})
    assert (await anybody.get(f"/api/sites/{site}/stats")).status_code == 200


async def test_refused_share_or_person_is_told_why(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    site = await desk.site()
    monkeypatch.setattr(api, "MAX_SHARES", 1)
    monkeypatch.setattr(people_api, "MAX_PEOPLE", 1)
    assert (await desk.owner.post(f"/api/sites/{site}/shares")).status_code == 201
    assert "Withdraw" in problem(await desk.owner.post(f"/api/sites/{site}/shares"), 409)["detail"]
    people = f"/api/sites/{site}/people"
    assert "owner" in problem(await desk.owner.put(f"{people}/bob", json={"may": "view"}), 409)["detail"]
    assert (await desk.owner.put(f"{people}/charlie", json={"may": "view"})).status_code == 204
    assert "As many" in problem(await desk.owner.put(f"{people}/alice", json={"may": "view"}), 409)["detail"]


async def test_everything_begins_with_the_first_day_that_was_counted(desk: Desk) -> None:
    desk.clock.now = datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp()
    site = await desk.site()
    assert [point["at"] for point in (await desk.stats(site, **{"from": "all"}))["series"]] == ["2026-03-10"]
    await desk.visitor().get(f"/c/{site}?p=/a")
    desk.clock.move(timedelta(days=1).total_seconds())
    series = (await desk.stats(site, **{"from": "all"}))["series"]
    assert [(point["at"], point["visits"]) for point in series] == [("2026-03-10", 1), ("2026-03-11", 0)]


async def test_wrong_range_or_limit_is_named(desk: Desk) -> None:
    site = await desk.site()
    for query, field in (
        ("from=yesterday", "from"),
        ("from=2026-02-30", "from"),
        ("from=2026-W01-1", "from"),
        ("from=0001-01-01", "from"),
        ("from=2026-11-02&to=2026-11-01", "from"),
        ("to=1", "to"),
        ("from=all&to=1", "to"),
        ("interval=week", "interval"),
        ("interval=hour&from=2026-01-01&to=2026-12-31", "interval"),
        ("interval=hour&path=/a", "interval"),
        ("path=/%FF", "path"),
    ):
        assert problem(await desk.owner.get(f"/api/sites/{site}/stats?{query}"), 400)["field"] == field
    for limit in ("0", "-1", "x", "1001", "1e3", ""):
        answer = await desk.owner.get(f"/api/sites/{site}/top/pages", params={"limit": limit})
        assert problem(answer, 400)["field"] == "limit"
    problem(await desk.owner.get(f"/api/sites/{site}/top/cookies"), 404)


async def test_days_and_hours_are_those_of_the_time_zone(desk: Desk) -> None:
    desk.clock.now = datetime(2026, 11, 28, 18, 29, tzinfo=UTC).timestamp()  # 23:59 in Kolkata
    site = await desk.site(time_zone="Asia/Kolkata")
    await desk.visitor().get(f"/c/{site}?p=/a")
    desk.clock.move(60)
    await desk.visitor().get(f"/c/{site}?p=/a")
    stats = await desk.stats(site, **{"from": "2026-11-28", "to": "2026-11-29"})
    assert [(point["at"], point["visits"]) for point in stats["series"]] == [("2026-11-28", 1), ("2026-11-29", 1)]
    assert stats["visitors"] == 2, "a new day has a new salt"
    hours = (await desk.stats(site, **{"from": "2026-11-28", "to": "2026-11-29", "interval": "hour"}))["series"]
    assert [point["at"] for point in hours if point["visits"]] == [
        "2026-11-28T23:00+05:30",
        "2026-11-29T00:00+05:30",
    ]


@pytest.mark.parametrize(("day", "length"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)])
async def test_day_has_as_many_hours_as_it_has(desk: Desk, day: str, length: int) -> None:
    site = await desk.site(time_zone="Europe/Berlin")
    series = (await desk.stats(site, **{"from": day, "to": day, "interval": "hour"}))["series"]
    assert len(series) == length


async def test_range_is_compared_with_the_one_before(desk: Desk) -> None:
    desk.clock.now = datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp()
    site = await desk.site()
    for _ in range(4):
        await desk.visitor().get(f"/c/{site}?p=/a")
        await desk.visitor().get(f"/c/{site}?p=/b")
        desk.clock.move(timedelta(days=1).total_seconds())
    stats = await desk.stats(site, **{"from": "2026-03-12", "to": "2026-03-13"})
    assert (stats["visits"], stats["before"]) == (4, {"visits": 4})
    page = await desk.stats(site, **{"from": "2026-03-12", "to": "2026-03-14", "path": "/a"})
    assert [point["visits"] for point in page["series"]] == [1, 1, 0]
    unknown = await desk.stats(site, **{"from": "2026-03-12", "to": "2026-03-14", "path": "/none"})
    assert ([point["visits"] for point in unknown["series"]], unknown["left_out"]) == ([0, 0, 0], page["left_out"])
    for path, each in ({}, 2), ({"path": "/a"}, 1):
        query = {"from": "2026-03-12", "to": "2026-03-13", "interval": "month"}
        part = await desk.stats(site, **query, **path)
        assert (part["visits"], part["before"]["visits"]) == (2 * each, 2 * each)
        assert part["series"] == [{"at": "2026-03", "visits": 2 * each, "visitors": part["visitors"]}]
    months = await desk.stats(site, **{"from": "2026-02-01", "to": "2026-03-31", "interval": "month"})
    assert [(point["at"], point["visits"], point["visitors"]) for point in months["series"]] == [
        ("2026-02", 0, 0),
        ("2026-03", 8, 4),
    ]
    assert await desk.top(site, "pages", **{"from": "2026-03-01", "to": "2026-03-31"}) == [("/a", 4, 4), ("/b", 4, 4)]
    assert (await desk.stats(site, **{"from": "all"}))["visits"] == 8


async def test_making_sites_is_limited(desk: Desk) -> None:
    answers = [await desk.owner.post("/api/sites", json={"name": "a", "hosts": ["a.example"]}) for _ in range(61)]
    assert [answer.status_code for answer in answers] == [201] * 60 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0


async def test_api_answers_to_tokens(desk: Desk) -> None:
    token = (await desk.owner.post("/api/account/tokens", json={"name": "x"})).json()["token"]
    program: httpx.AsyncClient = desk.service.another_client(headers={"Authorization": f"Bearer {token}"})
    made = await program.post("/api/sites", json={"name": "a", "hosts": ["a.example"]})
    assert made.status_code == 201
    assert (await program.get(f"/api/sites/{made.json()['id']}/stats")).json()["visits"] == 0


async def test_first_values_are_added_once(desk: Desk) -> None:
    site = await desk.site()
    for _ in range(2):
        answer = await desk.owner.put(
            f"/api/sites/{site}/values", json={"path": "/old/", "visits": 1000, "visitors": 300}
        )
        assert answer.status_code == 204
    told = await desk.visitor().get(f"/c/{site}?p=/old", headers=JSON)
    assert told.json() == {"page": 1001, "site": 1001, "visitors": 301}
    await desk.owner.put(f"/api/sites/{site}/values", json={"path": "/old", "visits": 10.0})
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
