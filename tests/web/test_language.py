"""Which language a reader is answered in, and the switch."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.i18n import NAMES, choose
from tests.helpers.service import Running


def language_of(answer: httpx.Response) -> str:
    return answer.text.partition('<html lang="')[2].partition('"')[0]


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("zh", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("ZH-hant-TW", "zh"),
        ("en;q=0.5, zh", "zh"),
        ("en;q=0.5, zh;q=0.6", "zh"),
        ("en, zh", "en"),
        ("zh;q=0.5, en;q=0.5", "zh"),
        ("zh;q=0", "en"),
        ("fr, de;q=0.9, zh;q=0.1", "zh"),
        ("fr, de", "en"),
        ("*", "en"),
        ("zh;q=high", "en"),
        ("zh;q=nan", "en"),
        ("zh;level=1", "zh"),
        (",;=,zh", "zh"),
        ("fr," * 20 + "zh", "en"),
    ],
)
async def test_the_reader_is_answered_in_the_language_that_suits_best(
    accepted: str, language: str, client: httpx.AsyncClient
) -> None:
    assert language_of(await client.get("/", headers={"Accept-Language": accepted})) == language


async def test_chosen_language_beats_accept_language(client: httpx.AsyncClient) -> None:
    headers = {"Accept-Language": "zh", "Cookie": "a=b; locale=en; c=d"}
    assert language_of(await client.get("/", headers=headers)) == "en"


@pytest.mark.parametrize("cookie", ["locale=tlh", "locale=", "locale", "xlocale=en", "locale =en ;;=", "locale=EN"])
async def test_a_cookie_that_names_no_language_is_ignored(cookie: str, client: httpx.AsyncClient) -> None:
    headers = {"Accept-Language": "zh", "Cookie": cookie}
    assert language_of(await client.get("/", headers=headers)) == "zh"


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_any_header_value_gets_a_response(cookie: bytes, accepted: bytes) -> None:
    assert choose(cookie, accepted) in NAMES


async def test_page_sends_vary(client: httpx.AsyncClient) -> None:
    assert (await client.get("/")).headers["vary"] == "Cookie, Accept, Accept-Language"


async def test_language_switch_is_stored_and_redirects_back(client: httpx.AsyncClient) -> None:
    answer = await client.post("/language", data={"locale": "zh", "next": "/nowhere?a=b"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/nowhere?a=b")
    assert language_of(await client.get("/nowhere")) == "zh"
    await client.post("/language", data={"locale": "en"})
    assert language_of(await client.get("/nowhere", headers={"Accept-Language": "zh"})) == "en"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_cookie_is_for_us_alone(scheme: str, service: Running) -> None:
    async with service.another_client(base_url=f"{scheme}://tallygate.test") as client:
        answer = await client.post("/language", data={"locale": "zh"})
    name, *flags = answer.headers["set-cookie"].split("; ")
    assert name == "locale=zh"
    expected = ["HttpOnly", "Max-Age=31536000", "Path=/", "SameSite=lax"] + (["Secure"] if scheme == "https" else [])
    assert sorted(flags) == expected


@pytest.mark.parametrize("fields", [{}, {"locale": ""}, {"locale": "tlh"}, {"locale": "zh\r\nSet-Cookie: a=b"}])
async def test_unknown_language_is_refused(fields: dict[str, str], client: httpx.AsyncClient) -> None:
    answer = await client.post("/language", data=fields, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["field"]) == (400, "locale")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "/%2fevil.example", ""]
)
async def test_language_switch_stays_on_this_site(target: str, client: httpx.AsyncClient) -> None:
    answer = await client.post("/language", data={"locale": "en", "next": target})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


@pytest.mark.parametrize("query", ["q=\u738b", "q=\\"])
async def test_unsafe_query_redirects_to_the_page(query: str, client: httpx.AsyncClient) -> None:
    answer = await client.post("/language", data={"locale": "zh", "next": f"/admin/users?{query}"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/users")


async def test_a_filter_is_kept(client: httpx.AsyncClient) -> None:
    answer = await client.post("/language", data={"locale": "zh", "next": "/admin/users?q=%E7%8E%8B"})
    assert answer.headers["location"] == "/admin/users?q=%E7%8E%8B"


async def test_the_switch_offers_every_other_language_by_its_own_name(client: httpx.AsyncClient) -> None:
    page = (await client.get("/", headers={"Accept-Language": "en"})).text
    assert '<button class="plain" name="locale" value="zh" lang="zh">中文</button>' in page
    assert 'value="en"' not in page
