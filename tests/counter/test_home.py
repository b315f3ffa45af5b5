"""The home page: which visitor you are."""

import asyncio

import httpx
import pytest

AS_JSON = {"Accept": "application/json"}


async def test_each_visitor_is_told_a_number_of_its_own(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.get("/", headers=AS_JSON) for _ in range(50)))
    assert sorted(answer.json()["visits"] for answer in answers) == list(range(1, 51))


async def test_the_page_says_it_in_a_sentence(client: httpx.AsyncClient) -> None:
    page = await client.get("/", headers={"Accept": "text/html"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert ">You are visitor 1</h1>" in page.text


@pytest.mark.parametrize("headers", [{"Sec-Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"}])
async def test_a_prefetch_does_not_count(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await client.get("/", headers=AS_JSON | headers)).json() == {"visits": 0}
    assert (await client.get("/", headers=AS_JSON)).json() == {"visits": 1}


async def test_a_head_request_does_not_count(client: httpx.AsyncClient) -> None:
    assert (await client.head("/")).status_code == 200
    assert (await client.get("/api/visits")).json() == {"visits": 0}
