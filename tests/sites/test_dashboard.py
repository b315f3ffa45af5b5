"""The pages of sites."""

import re
from html import unescape

import pytest

from tests.helpers.api import problem
from tests.helpers.cast import signed_in
from tests.sites.conftest import Desk

BROWSER = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
CHINESE = BROWSER | {"Accept-Language": "zh-CN"}


async def test_sites_are_listed_with_their_figures(desk: Desk) -> None:
    assert "You have no sites yet" in (await desk.owner.get("/sites", headers=BROWSER)).text
    site = await desk.site(name="Garden & Sea")
    await desk.visitor().get(f"/c/{site}?p=/a")
    page = (await desk.owner.get("/sites", headers=BROWSER)).text
    assert "Garden &amp; Sea" in page
    assert f'href="/sites/{site}"' in page
    assert "<strong>1</strong>" in page


async def test_form_adds_a_site_and_names_the_wrong_field(desk: Desk) -> None:
    form = {"name": "Shop", "hosts": "shop.example www.shop.example", "time_zone": "Asia/Tokyo"}
    made = await desk.owner.post("/sites", data=form)
    assert made.status_code == 303
    page = await desk.owner.get(made.headers["location"])
    assert "shop.example" in page.text
    assert "Asia/Tokyo" in page.text
    assert "&lt;script async src=" in page.text
    wrong = await desk.owner.post("/sites", data=form | {"hosts": "shop.example/path"})
    assert wrong.status_code == 400
    assert "主机名" in (await desk.owner.post("/sites", data=form | {"hosts": "a/b"}, headers=CHINESE)).text
    assert 'value="shop.example/path" aria-invalid="true"' in " ".join(wrong.text.split())


async def test_form_takes_the_host_of_a_pasted_url(desk: Desk) -> None:
    hosts = "https://Shop.example:8443/path?q#f http://user@b.example [::1]"
    wrong = await desk.owner.post("/sites", data={"name": "Shop", "hosts": hosts, "time_zone": "UTC"})
    assert wrong.status_code == 400
    hosts = "https://Shop.example:8443/path?q#f other.example"
    made = await desk.owner.post("/sites", data={"name": "Shop", "hosts": hosts, "time_zone": "UTC"})
    site = made.headers["location"].split("/")[2]
    assert (await desk.owner.get(f"/api/sites/{site}")).json()["hosts"] == ["shop.example", "other.example"]


@pytest.mark.parametrize("query", ["", "?period=today", "?period=7d", "?period=365d", "?from=all", "?period=never"])
async def test_page_of_a_site_shows_figures_chart_and_lists(desk: Desk, query: str) -> None:
    site = await desk.site()
    await desk.visitor().get(f"/c/{site}?p=/first&r=https://news.example/&w=1600")
    await desk.visitor("198.51.100.8").get(f"/c/{site}?p=/first")
    page = await desk.owner.get(f"/sites/{site}{query}", headers=BROWSER)
    assert page.status_code == 200
    for part in ("<strong>2</strong>", 'class="chart"', "/first", "news.example", "Chrome", "Desktop"):
        assert part in page.text, part
    assert not re.search(r"style=|<script(?! src)|onclick", page.text)


async def test_names_are_in_the_readers_language(desk: Desk) -> None:
    site = await desk.site()
    names = (("c", "DE"), ("l", "en"), ("w", "phone"))
    entry = '{"list": "%s", "name": "%s", "visits": 2, "visitors": 1, "date": "2026-02-01"}\n'
    file = '{"path": "/a", "visits": 2, "date": "2026-02-01"}\n' + "".join(entry % name for name in names)
    assert (await desk.owner.post(f"/api/sites/{site}/imports", content=file)).status_code == 201
    days = f"/sites/{site}?from=2026-01-01&to=2026-02-28"
    for headers, words in (
        (BROWSER, ("Germany", "English", "Phone", "31 Jan")),
        (CHINESE, ("德国", "英语", "手机", "1月31日")),
    ):
        page = (await desk.owner.get(days, headers=headers)).text
        for word in words:
            assert f">{word}<" in page, word


async def test_page_of_a_range_with_today_adds_what_comes_to_what_was(desk: Desk) -> None:
    site = await desk.site()
    await desk.visitor().get(f"/c/{site}?p=/a")
    desk.clock.move(86_400)
    for _ in range(2):
        await desk.visitor().get(f"/c/{site}?p=/a")
    for query, others in ("?period=7d", "1"), ("?from=all", "1"), ("?period=today", "0"):
        page = (await desk.owner.get(f"/sites/{site}{query}")).text
        assert f'<p data-live="visits" data-others="{others}">' in page
        assert f'<p data-live="visitors" data-others="{others}">' in page
    for query in ("?from=2026-01-01&to=2026-01-31", "?path=/a"):
        assert "data-others" not in (await desk.owner.get(f"/sites/{site}{query}")).text


async def test_page_without_visits_has_the_line_to_paste_instead_of_a_chart(desk: Desk) -> None:
    site = await desk.site(public=True)
    page = (await desk.owner.get(f"/sites/{site}")).text
    assert "Paste this line" in page
    assert "<svg class" not in page
    page = (await desk.service.another_client().get(f"/sites/{site}", headers=BROWSER)).text
    assert "Nothing was counted in these days." in page
    assert ".js&gt;" not in page


async def test_visits_without_a_day_are_told_without_a_chart(desk: Desk) -> None:
    site = await desk.site()
    await desk.owner.put(f"/api/sites/{site}/values", json={"path": "/a", "visits": 50})
    page = (await desk.owner.get(f"/sites/{site}?from=all")).text
    for part in ("<strong>50</strong>", "have no day", ">/a<"):
        assert part in page, part
    assert "data-points" not in page
    assert "Paste this line" not in page


async def test_page_can_be_filtered_by_page_and_by_referrer(desk: Desk) -> None:
    site = await desk.site()
    await desk.visitor().get(f"/c/{site}?p=/first&r=https://news.example/")
    await desk.visitor().get(f"/c/{site}?p=/second&r=https://other.example/")
    page = (await desk.owner.get(f"/sites/{site}?path=/first")).text
    assert "news.example" in page
    assert "other.example" not in page
    assert "?period=7d&amp;path=/first" in page
    everything = (await desk.owner.get(f"/sites/{site}?from=all&path=/none")).text
    assert f"/c/{site}.js" not in everything
    assert "?path=/first&amp;from=all" in (await desk.owner.get(f"/sites/{site}?from=all")).text
    page = (await desk.owner.get(f"/sites/{site}?referrer=other.example")).text
    assert "/second" in page
    assert ">/first<" not in page
    assert "<strong>1</strong>" in page, "the referrer's visits, not the site's"
    assert "data-points" not in page


async def test_visitors_are_sent_to_sign_in_and_other_users_get_404(desk: Desk) -> None:
    site = await desk.site()
    away = await desk.service.another_client().get(f"/sites/{site}", headers=BROWSER)
    assert away.status_code in {302, 303}
    assert "/sign-in" in away.headers["location"]
    charlie = await signed_in(desk.service, "charlie")
    assert (await charlie.get(f"/sites/{site}", headers=BROWSER)).status_code == 404
    assert (await charlie.get(f"/sites/{site}/settings", headers=BROWSER)).status_code == 404


async def test_public_or_shared_page_is_framed_where_the_owner_says_so(desk: Desk) -> None:
    site = await desk.site(public=True, frame=["https://intranet.example"])
    page = await desk.service.another_client().get(f"/sites/{site}", headers=BROWSER)
    assert page.status_code == 200
    assert "frame-ancestors https://intranet.example" in page.headers["content-security-policy"]
    assert len(page.headers.get_list("content-security-policy")) == 1
    assert "Settings" not in page.text
    assert "<header" in page.text
    framed = BROWSER | {"Sec-Fetch-Dest": "iframe"}
    page = await desk.service.another_client().get(f"/sites/{site}", headers=framed)
    for part in ("<header", "<footer", "/sign-in"):
        assert part not in page.text, part
    private = await desk.site(frame=["https://intranet.example"])
    page = await desk.owner.get(f"/sites/{private}?share=none", headers=BROWSER)
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    other = await desk.site(public=True)
    page = await desk.service.another_client().get(f"/sites/{other}", headers=BROWSER)
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


async def test_settings_are_saved_by_a_form(desk: Desk) -> None:
    site = await desk.site()
    form = {
        "name": "New",
        "hosts": "new.example",
        "time_zone": "UTC",
        "keep_query": "id page",
        "lower_case": "1",
        "max_paths": "50",
        "retention_days": "90",
        "privacy": "nothing",
        "ignore": "192.0.2.1",
    }
    assert (await desk.owner.post(f"/sites/{site}/settings", data=form)).status_code == 303
    settings = (await desk.owner.get(f"/api/sites/{site}")).json()
    assert settings["keep_query"] == ["id", "page"]
    assert (settings["lower_case"], settings["public"], settings["max_paths"]) == (True, False, 50)
    wrong = await desk.owner.post(f"/sites/{site}/settings", data=form | {"max_paths": "many"})
    assert wrong.status_code == 400
    assert 'value="many" aria-invalid="true" aria-describedby="max_paths-error"' in " ".join(wrong.text.split())
    for field, bad in [("keep_query", "a&b"), ("frame", "x"), ("ignore", "x"), ("time_zone", "x"), ("name", " ")]:
        wrong = await desk.owner.post(f"/sites/{site}/settings", data=form | {field: bad, "hosts": "typed.example"})
        assert wrong.status_code == 400
        assert f'id="{field}-error"' in wrong.text
        assert 'value="typed.example"' in wrong.text


async def test_share_is_made_shown_once_and_withdrawn_by_forms(desk: Desk) -> None:
    site = await desk.site()
    made = await desk.owner.post(f"/sites/{site}/shares")
    page = (await desk.owner.get(made.headers["location"])).text
    link = unescape(re.findall(r"http://tallygate.test(/sites/\w+\?share=[^<]+)<", page)[0])
    anybody = desk.service.another_client()
    assert (await anybody.get(link, headers=BROWSER)).status_code == 200
    share = re.findall(r"withdraw\?id=(\w+)", page)[0]
    assert (await desk.owner.post(f"/sites/{site}/shares/withdraw", data={"id": share})).status_code == 303
    assert (await anybody.get(link, headers=BROWSER)).status_code != 200


async def test_language_changes_on_the_page_that_is_looked_at(desk: Desk) -> None:
    site = await desk.site()
    token = (await desk.owner.post(f"/api/sites/{site}/shares")).json()["token"]
    anybody = desk.service.another_client(headers=BROWSER)
    page = (await anybody.get(f"/sites/{site}?share={token}&period=7d&path=/a%26b")).text
    back = unescape(re.findall(r'name="next" value="(/sites/[^"]+)"', page)[0])
    switched = await anybody.post("/language", data={"locale": "zh", "next": back})
    page = (await anybody.get(switched.headers["location"])).text
    assert 'lang="zh"' in page
    assert "/a&amp;b" in page
    assert "period=7d&amp;path=/a%26b" in page
    assert f"share={token}" in page


async def test_people_are_added_and_taken_away_by_forms(desk: Desk) -> None:
    site = await desk.site()
    add = await desk.owner.post(f"/sites/{site}/people", data={"name": "charlie", "may": "view"})
    assert add.status_code == 303
    assert "charlie" in (await desk.owner.get(f"/sites/{site}/settings")).text
    await desk.owner.post(f"/sites/{site}/people", data={"name": "charlie", "may": "none"})
    assert "charlie" not in (await desk.owner.get(f"/sites/{site}/settings")).text
    unknown = await desk.owner.post(f"/sites/{site}/people", data={"name": "nobody", "may": "view"})
    assert unknown.status_code == 400


@pytest.mark.parametrize("action", ["reset", "remove"])
async def test_reset_and_removal_ask_first(desk: Desk, action: str) -> None:
    site = await desk.site(name="Tom's")
    await desk.visitor().get(f"/c/{site}?p=/a")
    question = await desk.owner.get(f"/sites/{site}/{action}", headers=BROWSER)
    assert question.status_code == 200
    assert "Tom&#39;s?" in question.text
    assert "export" in question.text
    assert (await desk.stats(site))["visits"] == 1
    assert (await desk.owner.post(f"/sites/{site}/{action}")).status_code == 303
    after = await desk.owner.get(f"/api/sites/{site}/stats")
    assert after.status_code == 404 if action == "remove" else after.json()["visits"] == 0


async def test_public_site_has_badges(desk: Desk) -> None:
    site = await desk.site(public=True)
    await desk.visitor().get(f"/c/{site}?p=/a")
    badge = await desk.service.another_client().get(f"/badge/{site}.svg?label=reads&style=for-the-badge&color=Green")
    assert badge.headers["content-type"].startswith("image/svg+xml")
    assert badge.headers["cache-control"] == "max-age=0, no-cache, no-store, must-revalidate"
    assert "READS: 1" in badge.text
    described = (await desk.service.another_client().get(f"/badge/{site}.json?what=visitors&period=7d&path=/a")).json()
    assert described == {
        "schemaVersion": 1,
        "label": "visitors",
        "message": "1",
        "color": "007ec6",
        "style": "flat",
    }


async def test_badge_with_a_wrong_word_is_refused(desk: Desk) -> None:
    site = await desk.site(public=True)
    visitor = desk.service.another_client(headers={"Accept": "application/json"})
    colors = ("url(x)", "%2312345", "f_0", "", "%FF")
    paths = ("/%FF", "/%00", "mailto:x", "/" + "a" * 2048)
    queries = [f"color={color}" for color in colors] + [f"path={path}" for path in paths]
    for query in (*queries, "style=round", "period=1y", "what=clicks", "label=" + "x" * 61, "label=%0A", "label=%FF"):
        for form in ("svg", "json"):
            answer = problem(await visitor.get(f"/badge/{site}.{form}?{query}"), 400)
            assert answer["field"] == query.partition("=")[0]


async def test_errors_of_a_badge_in_json_are_json(desk: Desk) -> None:
    site = await desk.site(public=True)
    anybody = desk.service.another_client(headers={"Accept": "*/*"})
    assert problem(await anybody.get(f"/badge/{site}.json?period=1y"), 400)["field"] == "period"
    problem(await anybody.get("/badge/abcdefghij.json"), 404)


async def test_private_site_has_no_badge_for_its_owner_either(desk: Desk) -> None:
    site = await desk.site()
    assert (await desk.owner.get(f"/badge/{site}.svg")).status_code == 404
    assert (await desk.owner.get("/badge/abcdefghij.json")).status_code == 404
    assert (await desk.owner.get(f"/badge/{site}.png")).status_code == 404
