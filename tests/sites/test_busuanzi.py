"""Busuanzi's protocol and its successors', as themes and tools speak them."""

import asyncio
import re
from dataclasses import replace

import pytest

from app.sites.protocols import busuanzi
from app.store import keys
from tests.helpers.api import problem
from tests.helpers.cast import signed_in
from tests.helpers.sockets import PATIENCE
from tests.sites.conftest import Desk

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
async def test_callback_that_is_no_name_is_refused(desk: Desk, callback: str) -> None:
    await desk.site()
    answer = await desk.visitor().get("/busuanzi", params={"jsonpCallback": callback}, headers=PAGE)
    assert answer.status_code == 400
    assert callback == "" or callback not in answer.text


async def test_busuanzi_needs_a_referer_of_a_site(desk: Desk) -> None:
    site = await desk.site()
    query = {"jsonpCallback": CALLBACK}
    missing = await desk.visitor().get("/busuanzi", params=query)
    assert (missing.status_code, missing.headers["x-tally-error"]) == (400, "Referer: is missing")
    for wrong in (
        "null",
        "blog.example",
        "ftp://blog.example/",
        "https://blog.example/%FF",
        f"https://blog.example/{'a' * 2048}",
    ):
        answer = await desk.visitor().get("/busuanzi", params=query, headers={"Referer": wrong})
        assert (answer.status_code, answer.headers["x-tally-error"][:9]) == (400, "Referer: ")
    elsewhere = await desk.visitor().get("/busuanzi", params=query, headers={"Referer": "https://other.example/"})
    assert elsewhere.status_code == 404
    assert (await desk.visitor().head("/busuanzi", params=query, headers=PAGE)).status_code == 200
    assert (await desk.stats(site))["visits"] == 0


async def test_host_belongs_to_the_site_that_named_it_first(desk: Desk) -> None:
    first = await desk.site()
    second = await desk.site(hosts=["blog.example", "second.example"])
    await desk.visitor().get("/busuanzi", params={"jsonpCallback": CALLBACK}, headers=PAGE)
    assert (await desk.stats(first))["visits"] == 1
    assert (await desk.stats(second))["visits"] == 0


@pytest.mark.parametrize("gives_up", ["record", "host"])
async def test_host_goes_on_at_once_when_another_worker_removes_its_site(desk: Desk, gives_up: str) -> None:
    """Also where the removal ended after its first step."""
    first, second = await desk.site(), await desk.site()
    query = {"jsonpCallback": CALLBACK}
    await desk.visitor().get("/busuanzi", params=query, headers=PAGE)
    store, site = desk.service.state["site_store"], await desk.service.state["known_sites"].get(first)
    if gives_up == "record":
        await store.store.idempotent("DEL", keys.site(site.bucket, site.id))
    else:
        elsewhere = replace(site, hosts=("other.example",), compare_hosts=frozenset({"other.example"}))
        assert await store.replace_settings(site, elsewhere)
    async with asyncio.timeout(PATIENCE):
        while await desk.service.state["known_sites"].get(first) is site:
            await asyncio.sleep(0.01)  # until the invalidation is there
    await desk.visitor().get("/busuanzi", params=query, headers=PAGE)
    assert (await desk.stats(second))["visits"] == 1


async def test_administrator_gives_a_host_to_another_site(desk: Desk) -> None:
    first = await desk.site()
    second = await desk.site()
    query = {"jsonpCallback": CALLBACK}
    await desk.visitor().get("/busuanzi", params=query, headers=PAGE)
    problem(await desk.owner.put(f"/api/sites/{second}/hosts/blog.example"), 403)
    alice = await signed_in(desk.service, "alice")
    problem(await alice.put(f"/api/sites/{second}/hosts/other.example"), 404)
    assert (await alice.put(f"/api/sites/{second}/hosts/www.blog.example")).status_code == 204
    await desk.visitor().get("/busuanzi", params=query, headers=PAGE)
    assert (await desk.stats(second))["visits"] == 1
    await desk.owner.delete(f"/api/sites/{second}")
    await desk.visitor().get("/busuanzi", params=query, headers=PAGE)
    assert (await desk.stats(first))["visits"] == 2


async def test_busuanzi_script_is_served(desk: Desk) -> None:
    script = await desk.visitor().get("/busuanzi/2.3/busuanzi.pure.mini.js")
    assert script.headers["content-type"].startswith("text/javascript")
    for name in ("bszCaller", "bszTag", "busuanzi_container_", "no-referrer-when-downgrade"):
        assert name in script.text


@pytest.mark.parametrize("path", ["/api", "/busuanzi/api"])
async def test_busuanzis_heirs_are_answered_where_they_ask(desk: Desk, path: str) -> None:
    site, visitor = await desk.site(), desk.visitor()
    asked = {"x-bsz-referer": "https://blog.example/a", "Sec-Fetch-Site": "cross-site", "Accept": "*/*"}
    preflight = await visitor.options(path, headers={"Origin": "https://blog.example", "Sec-Fetch-Site": "cross-site"})
    assert preflight.status_code == 204
    assert "x-bsz-referer" in preflight.headers["access-control-allow-headers"]
    for number, method in enumerate(("POST", "GET"), 1):
        answer = await visitor.request(method, path, headers=asked)
        assert answer.json()["success"] is True
        assert answer.json()["data"] == {"site_pv": number, "site_uv": 1, "page_pv": number, "page_uv": 1}
        assert answer.headers["access-control-allow-origin"] == "*"
    assert (await visitor.put(path, headers=asked)).status_code == 204
    for wrong in ("x", "", "https://other.example/"):
        assert (await visitor.post(path, headers=asked | {"x-bsz-referer": wrong})).json()["success"] is False
    assert (await visitor.head(path, headers=asked)).status_code == 200
    assert (await desk.stats(site))["visits"] == 3


async def test_busuanzis_heirs_script_is_at_js_and_the_manual_stays_at_api(desk: Desk) -> None:
    script = await desk.visitor().get("/js")
    assert script.headers["cross-origin-resource-policy"] == "cross-origin"
    for name in ("x-bsz-referer", "_value_", "data-prefix", "data-api"):
        assert name in script.text
    assert "/api/sites" in (await desk.visitor().get("/api")).text


def test_scripts_stay_within_their_size() -> None:
    for script in (busuanzi.SCRIPT, busuanzi.SUCCESSOR_SCRIPT):
        assert len(script) < 4096
        assert not re.search(rb"localStorage|cookie", script)
