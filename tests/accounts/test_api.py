"""The API of accounts: front ends of their own, programs, and what either is told when something is wrong."""

import re

import httpx
import orjson
import pytest

from tests.accounts.conftest import Start
from tests.accounts.pages.reading import same_browser, status, until_thrown_out
from tests.helpers.api import problem, program, token_for, true_to_the_document
from tests.helpers.cast import PASSWORD, Cast, make_cast, signed_in
from tests.helpers.service import Running
from tests.helpers.waiting import eventually

DAY = 86_400
__all__ = ["true_to_the_document"]
CREDENTIALS = {"username": "bob", "password": PASSWORD}
FOR_WHO_IS_SIGNED_IN = [
    ("GET", "/api/session"),
    ("GET", "/api/account"),
    ("GET", "/api/account/sessions"),
    ("DELETE", "/api/account/sessions/x"),
    ("GET", "/api/account/tokens"),
    ("POST", "/api/account/tokens"),
    ("DELETE", "/api/account/tokens/x"),
]


async def test_api_sign_in_returns_the_user_and_a_session(client: httpx.AsyncClient, cast: Cast) -> None:
    answer = await client.post("/api/session", json=CREDENTIALS)
    assert answer.status_code == 200
    user = answer.json()["user"]
    assert user == {
        "id": cast.bob.id, "name": "bob", "display_name": "", "email": "", "email_verified": False, "groups": [],
        "is_admin": False, "locale": None, "created": cast.bob.created,
    }  # fmt: skip
    assert (await client.get("/api/session")).json() == {"user": user}
    assert (await client.get("/api/account")).json() == user
    (session,) = (await client.get("/api/account/sessions")).json()
    assert session.keys() >= {"id", "device", "address", "created", "seen", "auth_method", "auth_time", "amr", "how"}
    assert (session["device"], session["address"], session["auth_method"], session["current"]) == (
        "Python", "192.0.2.1", "password", True,
    )  # fmt: skip


async def test_a_wrong_password_is_no_invitation_to_sign_in_elsewhere(client: httpx.AsyncClient, cast: Cast) -> None:
    told = problem(await client.post("/api/session", json={"username": "bob", "password": "no"}), 401)
    assert told["detail"] == "The username or password is wrong."
    assert "sign_in_url" not in told
    assert "set-cookie" not in (await client.post("/api/session", json={"username": "b", "password": "no"})).headers


async def test_api_sign_out_is_idempotent(bob: httpx.AsyncClient, service: Running) -> None:
    before = same_browser(bob, service)
    for _ in range(2):
        answer = await bob.delete("/api/session")
        assert (answer.status_code, answer.content) == (204, b"")
    assert await status(before) == 401
    assert "tallygate" not in bob.cookies


@pytest.mark.parametrize(("method", "path"), FOR_WHO_IS_SIGNED_IN)
async def test_unauthenticated_request_gets_the_sign_in_url(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, path, json={"name": "x"} if method == "POST" else None)
    told = problem(answer, 401)
    assert told["sign_in_url"] == "/sign-in"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "cookie" in answer.headers["vary"].lower()
    assert "location" not in answer.headers


async def test_problems_are_in_the_readers_language(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/account", headers={"Accept-Language": "zh-Hans", "Accept": "text/html"})
    assert problem(answer, 401)["title"] == "请先登录"


async def test_personal_responses_send_vary(bob: httpx.AsyncClient, service: Running) -> None:
    by_token = program(service, await token_for(bob))
    for method, path in FOR_WHO_IS_SIGNED_IN:
        for asking in (bob, by_token):
            answer = await asking.request(method, path, json={"name": "x"} if method == "POST" else None)
            assert answer.status_code != 401
            assert answer.headers["cache-control"] == "no-store", path
            if answer.status_code != 204:
                assert {"cookie", "authorization"} <= set(re.split(", *", answer.headers["vary"].lower())), path


async def test_ended_session_is_refused_at_once(bob: httpx.AsyncClient, elsewhere: Running, service: Running) -> None:
    phone = await signed_in(elsewhere, "bob")
    sessions = (await bob.get("/api/account/sessions")).json()
    assert [each["current"] for each in sessions].count(True) == 1
    (other,) = [each["id"] for each in sessions if not each["current"]]
    answer = await bob.delete(f"/api/account/sessions/{other}")
    assert answer.status_code == 204
    await until_thrown_out(phone)
    problem(await bob.delete(f"/api/account/sessions/{other}"), 404)
    assert await status(bob) == 200


async def test_session_and_token_of_another_user_are_not_found(
    bob: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    await token_for(alice)
    (session,) = (await alice.get("/api/account/sessions")).json()
    (token,) = (await alice.get("/api/account/tokens")).json()
    problem(await bob.delete(f"/api/account/sessions/{session['id']}"), 404)
    problem(await bob.delete(f"/api/account/tokens/{token['id']}"), 404)
    assert await status(alice) == 200
    assert (await alice.get("/api/account/tokens")).json() == [token]


NAMED = [
    ("/api/session", b"", "body"),
    ("/api/session", b"not json", "body"),
    ("/api/session", b"\xff\xfe", "body"),
    ("/api/session", b'"text"', "body"),
    ("/api/session", b"[]", "body"),
    ("/api/session", b"[" * 100_000, "body"),
    ("/api/session", b'{"a":' * 100_000, "body"),
    ("/api/session", b"{}", "username"),
    ("/api/session", b'{"username": "bob"}', "password"),
    ("/api/session", b'{"username": null, "password": "x"}', "username"),
    ("/api/session", b'{"username": 1, "password": "x"}', "username"),
    ("/api/session", b'{"username": "bob", "password": ["x"]}', "password"),
    ("/api/session", b'{"username": "bob", "password": "x", "admin": true}', "admin"),
    ("/api/session", b'{"username": "' + b"x" * 2049 + b'", "password": "x"}', "username"),
    ("/api/session", rb'{"username": "\ud800", "password": "x"}', "body"),
    ("/api/account/tokens", b"{}", "name"),
    ("/api/account/tokens", b'{"name": " "}', "name"),
    ("/api/account/tokens", b'{"name": "' + b"x" * 101 + b'"}', "name"),
    ("/api/account/tokens", b'{"name": "' + b" " * 101 + b'x"}', "name"),
    ("/api/account/tokens", b'{"name": "x", "days": "1"}', "days"),
    ("/api/account/tokens", b'{"name": "x", "days": true}', "days"),
    ("/api/account/tokens", b'{"name": "x", "days": 1.5}', "days"),
    ("/api/account/tokens", b'{"name": "x", "days": -1}', "days"),
    ("/api/account/tokens", b'{"name": "x", "days": 3651}', "days"),
    ("/api/account/tokens", b'{"name": "x", "days": 999999999999999999999999}', "days"),
]


@pytest.mark.parametrize(("path", "body", "field"), NAMED, ids=range(len(NAMED)))
async def test_bad_body_names_the_field(bob: httpx.AsyncClient, path: str, body: bytes, field: str) -> None:
    answer = await bob.post(path, content=body, headers={"Content-Type": "application/json; charset=utf-8"})
    assert problem(answer, 400)["field"] == field
    assert not (await bob.get("/api/account/tokens")).json()


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
async def test_a_body_has_to_say_that_it_is_json(client: httpx.AsyncClient, cast: Cast, kind: str | None) -> None:
    """Another site's form could send any of these, with the visitor's cookies."""
    headers = {} if kind is None else {"Content-Type": kind}
    answer = await client.post("/api/session", content=orjson.dumps(CREDENTIALS), headers=headers)
    assert problem(answer, 400)["field"] == "Content-Type"
    assert await status(client) == 401


async def test_too_large_body_is_refused(bob: httpx.AsyncClient) -> None:
    for path in ("/api/session", "/api/account/tokens", "/sign-in"):
        answer = await bob.post(path, content=b" " * 1_048_577, headers={"Accept": "application/json"})
        problem(answer, 413)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/session", "DELETE, GET, HEAD, POST"),
        ("POST", "/api/account", "DELETE, GET, HEAD, PATCH"),
        ("DELETE", "/api/account/tokens", "GET, HEAD, POST"),
        ("GET", "/api/account/tokens/x", "DELETE"),
        ("POST", "/api/account/sessions/x", "DELETE"),
        ("PATCH", "/api/visits", "GET, HEAD"),
    ],
)
async def test_wrong_method_gets_allow(bob: httpx.AsyncClient, method: str, path: str, allowed: str) -> None:
    answer = await bob.request(method, path)
    problem(answer, 405)
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/api/nothing", "/api/", "/api/session/", "/api/account/sessions/", "/api/people"])
async def test_unknown_path_is_not_found(bob: httpx.AsyncClient, path: str) -> None:
    problem(await bob.get(path), 404)


@pytest.mark.parametrize("path", ["/api/session", "/api/account/sessions/x", "/api/account/tokens/x"])
async def test_cross_site_request_is_refused(bob: httpx.AsyncClient, path: str) -> None:
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "null"}):
        problem(await bob.delete(path, headers=headers), 403)
    assert await status(bob) == 200


async def test_head_equals_get(bob: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
    for browser, expected in ((bob, 200), (client, 401)):
        answer = await browser.head("/api/session")
        assert answer.status_code == expected


async def test_cached_session_equals_redis(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, cast: Cast, elsewhere: Running
) -> None:
    """The answer is made once for a user, and anew when that user has changed."""
    there = same_browser(bob, elsewhere)
    for action, is_admin in (("make-admin", True), ("remove-admin", False)):
        assert (await there.get("/api/session")).json()["user"]["is_admin"] is not is_admin
        await alice.post(f"/admin/users/{cast.bob.id}", data={"action": action})

        async def told(expected: bool = is_admin) -> bool:
            return (await there.get("/api/session")).json()["user"]["is_admin"] is expected

        await eventually(told)


async def test_api_works_with_cookie_sessions(start: Start) -> None:
    async with start(session_store="cookie") as service:
        await make_cast(service)
        bob = await signed_in(service, "bob")
        assert (await bob.get("/api/account")).json()["name"] == "bob"
        assert (await bob.get("/api/account/sessions")).json() == []
        assert (await program(service, await token_for(bob)).get("/api/account")).json()["name"] == "bob"
        assert (await bob.delete("/api/session")).status_code == 204
        assert await status(bob) == 401
