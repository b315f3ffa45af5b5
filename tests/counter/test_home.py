"""The home page: which visitor you are."""

import asyncio
from collections.abc import Callable

import httpx
import pytest

from app.counter import exactly_once
from app.settings import Settings
from app.store.keys import HITS_TOTALS
from tests.counter.redis_side import totals
from tests.helpers.service import running
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import eventually

AS_JSON = {"Accept": "application/json"}
BROWSER = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
    "Sec-Fetch-Mode": "navigate",
}
VARY = "Cookie, Accept, Accept-Language"


async def test_every_visit_gets_its_own_number(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.get("/", headers=AS_JSON) for _ in range(50)))
    assert sorted(answer.json()["visits"] for answer in answers) == list(range(1, 51))


async def test_page_tells_the_number_in_a_sentence(client: httpx.AsyncClient) -> None:
    page = await client.get("/", headers=BROWSER)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert ">This is visit 1</h1>" in page.text


@pytest.mark.parametrize(
    ("language", "sentence"), [("en", "This is visit 1,024"), ("zh-CN,zh;q=0.9", "这是第 1,024 次访问")]
)
async def test_home_page_is_in_the_visitors_language(
    server: Valkey, client: httpx.AsyncClient, language: str, sentence: str
) -> None:
    with server.client as redis:
        redis.hset(HITS_TOTALS, "home", 1023)
    page = await client.get("/", headers={"Accept-Language": language})
    assert f">{sentence}</h1>" in page.text
    assert f'<html lang="{language[:2]}' in page.text


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_cached_page_equals_the_rendered_page(
    server: Valkey, client: httpx.AsyncClient, make_settings: Callable[..., Settings], language: str
) -> None:
    """The number's digits and separators, in every place, as in an application that has kept nothing yet."""
    for visits in (0, 999, 1_000, 987_654_321):
        with server.client as redis:
            redis.hset(HITS_TOTALS, "home", visits)
        kept = await client.get("/", headers={"Accept-Language": language})
        page = await client.get("/", headers={"Accept-Language": language})
        with server.client as redis:
            redis.hset(HITS_TOTALS, "home", visits + 1)
        async with running(make_settings()) as another:
            state = another.state
            rendered = (
                state["pages"]
                .template(language, "counter/home.html")
                .render(path="/", visits=visits + 2, counted=True, user=None, sign_in_url="/sign-in", flash=None)
            )
            fresh = await another.client.get("/", headers={"Accept-Language": language})
        assert page.text == fresh.text == rendered
        assert kept.text != page.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": "application/json"},
        {"Accept": "application/json, text/plain, */*", "Sec-Fetch-Mode": "cors"},
        {"Accept": "*/*", "Sec-Fetch-Mode": "cors"},
        {"Accept": "*/*", "Sec-Fetch-Mode": "same-origin"},
    ],
)
async def test_a_program_gets_json(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await client.get("/", headers=headers)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"visits": 1}


@pytest.mark.parametrize(
    "headers",
    [BROWSER, {"Accept": "*/*"}, {"Accept": ""}, {"Accept": "text/html, application/json"}],
    ids=["browser", "curl", "nothing", "both"],
)
async def test_a_person_gets_the_page(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await client.get("/", headers=headers)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert 'id="visits"' in answer.text


@pytest.mark.parametrize("headers", [AS_JSON, BROWSER])
async def test_home_page_is_not_cacheable(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    for request in (client.get("/", headers=headers), client.get("/", headers=headers), client.head("/")):
        answer = await request
        assert (answer.headers["cache-control"], answer.headers["vary"]) == ("no-store", VARY)


@pytest.mark.parametrize(
    "headers", [{"Sec-Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"}]
)
async def test_a_prefetch_is_refused_so_that_the_browser_asks_again_when_the_page_is_opened(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    for kind in (AS_JSON, BROWSER):
        refused = await client.get("/", headers=kind | headers)
        assert refused.status_code == 503
        assert refused.headers["cache-control"] == "no-store"
    assert (await client.get("/", headers=AS_JSON)).json() == {"visits": 1}


async def test_a_head_request_does_not_count(client: httpx.AsyncClient) -> None:
    assert (await client.head("/")).status_code == 200
    assert (await client.get("/api/visits")).json() == {"visits": 0}


async def test_a_head_request_is_answered_like_a_visit(client: httpx.AsyncClient) -> None:
    head, page = await client.head("/", headers=AS_JSON), await client.get("/", headers=AS_JSON)
    names = set(page.headers) - {"x-request-id", "date"}
    assert {name: head.headers[name] for name in names} == {name: page.headers[name] for name in names}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/api/visits", "/events/visits"])
async def test_other_methods_are_refused_and_not_counted(client: httpx.AsyncClient, path: str, method: str) -> None:
    refused = await client.request(method, path, headers=AS_JSON)
    assert refused.status_code == 405
    assert {"GET", "HEAD"} == {allowed.strip() for allowed in refused.headers["allow"].split(",")}
    assert (await client.get("/api/visits")).json() == {"visits": 0}


async def test_the_total_is_read_without_counting(client: httpx.AsyncClient) -> None:
    await client.get("/")
    for _ in range(2):
        answer = await client.get("/api/visits")
        assert answer.json() == {"visits": 1}
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "unknown"), [(AS_JSON, '{"visits":null}'), (BROWSER, "The number is temporarily unavailable")]
)
async def test_outage_shows_no_number_and_counts_later(
    make_settings: Callable[..., Settings],
    own_server: Valkey,
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
    unknown: str,
) -> None:
    monkeypatch.setattr(exactly_once, "REPLY_TIMEOUT", 0.1)
    async with running(make_settings(redis_url=own_server.url)) as service:
        client = service.client
        own_server.kill()
        answer = await client.get("/", headers=headers)
        assert answer.status_code == 200
        assert unknown in answer.text
        assert (await client.head("/")).status_code == 200
        api = await client.get("/api/visits")
        assert api.status_code == 503
        assert int(api.headers["retry-after"]) > 0
        assert api.headers["content-type"] == "application/problem+json"
        own_server.start()
        await eventually(lambda: service.state["tally"].waiting == 0, what="the visit to be counted")
        assert (await client.get("/api/visits")).json() == {"visits": 1}


async def test_stop_flushes_waiting_visits(make_settings: Callable[..., Settings], server: Valkey) -> None:
    async with running(make_settings()) as service:
        for _ in range(100):
            service.state["tally"].hit("home")
    assert totals(server) == {"home": 100}
