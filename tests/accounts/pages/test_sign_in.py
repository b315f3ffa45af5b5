"""Signing in and out: who is let in, who is not, and what either learns."""

import asyncio
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher

from app.accounts.passwords.hashing import Busy
from tests.accounts.conftest import Start
from tests.accounts.pages.reading import error_at, message, rows, same_browser, status, value_of
from tests.helpers.cast import PASSWORD, Cast, signed_in
from tests.helpers.service import Running

WRONG = {"username": "bob", "password": "not that"}


async def post(client: httpx.AsyncClient, name: str, password: str = PASSWORD, target: str = "/") -> httpx.Response:
    return await client.post("/sign-in", data={"username": name, "password": password, "next": target})


async def test_the_form_asks_for_a_name_and_a_password(client: httpx.AsyncClient) -> None:
    page = await client.get("/sign-in", params={"next": "/account/devices"})
    assert page.status_code == 200
    assert '<form class="card form" method="post" action="/sign-in">' in page.text
    assert 'autocomplete="username"' in page.text
    assert 'autocomplete="current-password"' in page.text
    assert value_of(page, "next") == "/account/devices"
    assert "set-cookie" not in page.headers


async def test_right_password_signs_in_with_one_greeting(client: httpx.AsyncClient, cast: Cast) -> None:
    answer = await post(client, "bob", target="/account/devices")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/account/devices"
    home = await client.get("/")
    assert message(home) == "You are signed in."
    assert '<a class="who" href="/account">' in home.text
    assert ">bob<" in home.text
    again = await client.get("/")
    assert message(again) is None
    assert ">bob<" in again.text


async def test_the_message_waits_for_a_page_that_shows_it(client: httpx.AsyncClient, cast: Cast) -> None:
    await post(client, "bob")
    await client.head("/")
    await client.get("/", headers={"Accept": "application/json"})
    await client.head("/account")
    assert message(await client.get("/account")) == "You are signed in."
    assert message(await client.get("/account")) is None


async def test_name_spelling_does_not_matter_at_sign_in(client: httpx.AsyncClient, cast: Cast) -> None:
    assert (await post(client, " ＢＯＢ ")).status_code == 303
    assert await status(client) == 200


async def test_signed_in_user_skips_the_form(bob: httpx.AsyncClient) -> None:
    answer = await bob.get("/sign-in", params={"next": "/account"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    answer = await bob.get("/sign-in", params={"next": "/sign-in"})
    assert answer.headers["location"] == "/sign-in"
    assert (await bob.get("/sign-in")).headers["location"] == "/"


def without_name(page: httpx.Response, name: str) -> str:
    assert value_of(page, "username") == name
    return page.text.replace(f'value="{name}"', "")


async def test_failed_sign_in_does_not_tell_the_reason(
    service: Running, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    await service.state["accounts"].set_disabled(cast.charlie.id, True)
    verified: list[str] = []
    verify = PasswordHasher.verify

    def counted(hasher: PasswordHasher, *given: Any) -> bool:
        verified.append("one")
        return verify(hasher, *given)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    answers = []
    for name, password in (("bob", "not that"), ("nobody", PASSWORD), ("charlie", PASSWORD), ("no/name", PASSWORD)):
        verified.clear()
        async with service.another_client() as client:
            page = await post(client, name, password)
            api = await client.post("/api/session", json={"username": name, "password": password})
        assert len(verified) == 2
        told = {**api.json(), "request_id": ""}
        same = {k: v for k, v in page.headers.items() if k not in {"x-request-id", "content-length"}}
        answers.append((page.status_code, without_name(page, name), same, api.status_code, told))
    assert answers[0][0] == answers[0][3] == 401
    assert all(answer == answers[0] for answer in answers[1:])


async def test_wrong_password_keeps_the_name(client: httpx.AsyncClient, cast: Cast) -> None:
    page = await post(client, 'bo"b', "not that", "/account")
    assert page.status_code == 401
    assert error_at(page, "password") == "The username or password is wrong."
    assert value_of(page, "username") == 'bo"b'
    assert value_of(page, "next") == "/account"
    assert "not that" not in page.text
    assert "set-cookie" not in page.headers
    assert await status(client) == 401


async def test_sign_in_redirects_to_the_requested_page(client: httpx.AsyncClient, cast: Cast) -> None:
    answer = await client.get("/admin/users?q=b&after=a")
    assert answer.status_code == 303
    form = await client.get(answer.headers["location"])
    target = value_of(form, "next")
    assert target == "/admin/users?q=b&after=a"
    answer = await post(client, "alice", target=target)
    assert (answer.status_code, answer.headers["location"]) == (303, target)
    assert rows(await client.get(target))[0].startswith("bob")


@pytest.mark.parametrize("kind", [{"Accept": "application/json"}, {"Sec-Fetch-Mode": "cors", "Accept": "*/*"}])
async def test_script_gets_401_instead_of_a_redirect(client: httpx.AsyncClient, kind: dict[str, str]) -> None:
    answer = await client.get("/account", headers=kind)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["sign_in_url"] == "/sign-in"


async def test_form_of_an_ended_session_leads_to_sign_in(client: httpx.AsyncClient) -> None:
    answer = await client.post("/account/password", data={"current": PASSWORD, "new": PASSWORD})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")


async def test_personal_responses_are_not_cacheable(bob: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
    for browser in (bob, client):
        for path in ("/", "/sign-in", "/account", "/account/devices", "/account/tokens", "/admin/users", "/api"):
            answer = await browser.get(path)
            assert answer.headers["cache-control"] == "no-store", path
            assert "cookie" in answer.headers["vary"].lower(), path
    answer = await post(client, "bob")
    assert answer.headers["cache-control"] == "no-store"


async def test_second_sign_in_replaces_the_session(bob: httpx.AsyncClient, service: Running) -> None:
    before = same_browser(bob, service)
    await post(bob, "bob")
    assert await status(bob) == 200
    assert await status(before) == 401


async def test_sign_out_ends_the_session(bob: httpx.AsyncClient, service: Running) -> None:
    before = same_browser(bob, service)
    answer = await bob.post("/sign-out")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert "tallygate" not in bob.cookies
    assert await status(before) == 401
    assert (await bob.post("/sign-out")).status_code == 303


async def test_sign_out_deletes_a_dead_cookie(client: httpx.AsyncClient) -> None:
    client.cookies.set("tallygate", "no good", domain="tallygate.test")
    await client.post("/sign-out")
    assert not client.cookies


async def test_sign_out_by_get_is_refused(bob: httpx.AsyncClient) -> None:
    answer = await bob.get("/sign-out")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert await status(bob) == 200


@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/account/password", "/api/session"])
async def test_cross_site_sign_in_and_out_are_refused(bob: httpx.AsyncClient, path: str) -> None:
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        answer = await bob.post(path, data={"username": "alice", "password": PASSWORD}, headers=headers)
        assert answer.status_code == 403
    assert (await bob.get("/api/session")).json()["user"]["name"] == "bob"


@pytest.mark.parametrize(
    "sent",
    [
        {"content": b"", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"content": b"\xff\xfe=\xfd&username", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"json": {"username": "bob", "password": PASSWORD}},
        {"content": b"username=bob", "headers": {"Content-Type": "text/plain"}},
        {"data": {"username": "", "password": ""}},
        {"data": {"username": "bob", "password": "x" * 300}},
    ],
)
async def test_malformed_form_does_not_sign_in(client: httpx.AsyncClient, cast: Cast, sent: dict[str, Any]) -> None:
    assert (await client.post("/sign-in", **sent)).status_code == 401


@pytest.mark.parametrize(("field", "most"), [("username", 2048), ("password", 2048), ("next", 8192)])
async def test_long_field_or_file_is_named(client: httpx.AsyncClient, field: str, most: int) -> None:
    long = await client.post("/sign-in", data={field: "x" * (most + 1)})
    assert long.status_code == 400
    assert f"{field}: must be a text of at most {most} characters" in long.text
    file = await client.post("/sign-in", files={field: b"a file"})
    assert file.status_code == 400


async def test_the_language_of_the_account_is_remembered(client: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    await bob.post("/account", data={"locale": "zh"})
    assert 'lang="en"' in (await client.get("/")).text
    await post(client, "bob")
    assert '<html lang="zh">' in (await client.get("/")).text
    await client.post("/sign-out")
    assert '<html lang="zh">' in (await client.get("/sign-in")).text


async def test_the_answer_is_in_the_readers_language(client: httpx.AsyncClient, cast: Cast) -> None:
    page = await client.post("/sign-in", data=WRONG, headers={"Accept-Language": "zh-CN"})
    assert error_at(page, "password") == "用户名或密码不正确。"


@pytest.mark.parametrize(("registration", "link"), [("closed", False), ("invitation", False), ("open", True)])
async def test_the_way_to_an_account_is_shown_where_there_is_one(start: Start, registration: str, link: bool) -> None:
    async with start(registration=registration) as service:
        page = await service.client.get("/sign-in")
        assert ('href="/sign-up?next=/"' in page.text) is link


async def test_concurrent_password_change_ends_the_sign_in(
    service: Running, cast: Cast, client: httpx.AsyncClient
) -> None:
    """Between the look at the old password and the new session is time enough to change it and end all sessions."""
    passwords, accounts = service.state["passwords"], service.state["accounts"]
    verify = passwords.verify

    async def slow(stored: str | None, password: str) -> bool:
        right: bool = await verify(stored, password)
        await accounts.set_password(cast.bob.id, await passwords.hash("another lantern entirely"))
        await service.state["sessions"].end_all(cast.bob.id)
        return right

    passwords.verify = slow
    assert (await post(client, "bob")).status_code == 401
    assert await status(client) == 401
    assert not await service.state["sessions"].of_user(cast.bob.id)


async def test_two_tabs_sign_in_at_once(service: Running, cast: Cast) -> None:
    tabs = await asyncio.gather(*(signed_in(service, "bob") for _ in range(4)))
    assert [await status(tab) for tab in tabs] == [200] * 4


async def test_an_older_hash_is_renewed_when_its_owner_signs_in(
    service: Running, cast: Cast, client: httpx.AsyncClient
) -> None:
    accounts = service.state["accounts"]
    stronger = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(PASSWORD)
    await accounts.set_password(cast.bob.id, stronger)
    assert (await post(client, "bob")).status_code == 303
    assert "m=8,t=1" in await accounts.password_hash(cast.bob.id)
    assert await status(client) == 200
    assert (await post(client, "bob")).status_code == 303


async def test_failed_rehash_does_not_block_sign_in(
    service: Running, cast: Cast, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(password: str) -> str:
        raise Busy

    accounts = service.state["accounts"]
    older = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(PASSWORD)
    await accounts.set_password(cast.bob.id, older)
    monkeypatch.setattr(service.state["passwords"], "hash", busy)
    assert (await post(client, "bob")).status_code == 303
    assert await status(client) == 200
    assert await accounts.password_hash(cast.bob.id) == older
