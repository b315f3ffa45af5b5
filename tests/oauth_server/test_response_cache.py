"""Userinfo and introspection from the worker's memory: no command to Redis, and no stale answer."""

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable

import httpx
import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.oauth_server import response_cache
from app.oauth_server.clients import configured_clients
from app.oauth_server.introspection import Introspection
from app.oauth_server.issuing import Issuing
from app.server.protocol import OneWriteProtocol
from app.settings import Settings
from tests.helpers.cast import Cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running
from tests.helpers.sockets import PATIENCE
from tests.oauth_server.conftest import SECRET, RelyingParty, clients
from tests.server.test_protocol import served, told


@pytest.fixture
async def app(service: Running, cast: Cast) -> RelyingParty:
    return RelyingParty(await signed_in(service, "bob"))


async def introspected(app: RelyingParty, access_token: str, caller: str = "gateway") -> httpx.Response:
    return await app.browser.post("/oauth2/introspect", data={"token": access_token}, auth=(caller, SECRET))


@pytest.mark.parametrize("ask", [RelyingParty.userinfo, introspected])
async def test_token_that_is_asked_about_again_costs_no_command(
    service: Running, app: RelyingParty, ask: Callable[[RelyingParty, str], Awaitable[httpx.Response]]
) -> None:
    tokens = await app.sign_in()
    first = await ask(app, tokens["access_token"])
    before = service.state["store"].commands + service.state["tracking"].tracked.commands
    again = await ask(app, tokens["access_token"])
    assert service.state["store"].commands + service.state["tracking"].tracked.commands == before
    assert again.content == first.content
    varying = {"x-request-id", "date", "set-cookie"}
    assert {name: value for name, value in again.headers.items() if name not in varying} == {
        name: value for name, value in first.headers.items() if name not in varying
    }


async def test_introspection_without_a_task_says_what_it_says_with_one(
    service: Running, app: RelyingParty, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = await app.sign_in()
    await introspected(app, tokens["access_token"])
    form = f"token={tokens['access_token']}".encode()
    basic = base64.b64encode(f"gateway:{SECRET}".encode())
    request = (
        b"POST /oauth2/introspect HTTP/1.1\r\nHost: tallygate.test\r\nAuthorization: Basic %b\r\nConnection: %b\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%b"
    )
    kept_open, closed = (request % (basic, connection, len(form), form) for connection in (b"keep-alive", b"close"))
    answers = []
    for protocol in (HttpToolsProtocol, OneWriteProtocol):
        async with served(service.app, protocol, service.state) as port:
            said = await told(port, kept_open + closed)
            answers.append(re.sub(rb"x-request-id: \w+\r\n", b"", said))
        monkeypatch.setattr(Introspection, "__call__", None)  # the second one needs none
    ordinary, fast = answers
    assert ordinary.count(b'"active":true') == 2
    assert sorted(fast.splitlines()) == sorted(ordinary.splitlines())  # headers come in another order


@pytest.mark.parametrize("way", ["expired", "revoked", "signed out", "disabled", "group", "renamed", "refreshed"])
async def test_changes_are_seen_at_once(
    service: Running, cast: Cast, app: RelyingParty, clock: Clock, way: str
) -> None:
    if way == "group":
        app.client = "staff"
        await service.state["users"].set_groups(cast.bob.id, ("staff",))
    tokens = await app.sign_in()
    for _ in range(2):
        assert (await app.userinfo(tokens["access_token"])).json()["name"] == "bob"
        assert (await introspected(app, tokens["access_token"])).json()["active"] is True
        assert (await introspected(app, tokens["access_token"], "other")).json() == {"active": False}
    await change(service, cast, app, clock, way, tokens)
    status, name = {"renamed": (200, "Robert"), "refreshed": (200, "bob")}.get(way, (401, None))
    for _ in range(2):
        answer = await app.userinfo(tokens["access_token"])
        assert (answer.status_code, answer.json().get("name")) == (status, name)
        assert (await introspected(app, tokens["access_token"])).json()["active"] is (status == 200)
    if way in ("signed out", "disabled", "group"):
        assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_caller_of_an_introspection_is_looked_at_each_time(
    make_settings: Callable[..., Settings], service: Running, app: RelyingParty
) -> None:
    tokens = await app.sign_in()
    for _ in range(2):
        assert (await introspected(app, tokens["access_token"])).json()["active"] is True
    tables = clients()
    tables["gateway"]["introspect"] = False
    tables["gateway"]["redirect_uris"] = ["https://gateway.example.com/callback"]
    service.state["oauth_server"].clients.configured = configured_clients(make_settings(clients=tables))[0]
    assert (await introspected(app, tokens["access_token"])).json() == {"active": False}
    refused = await app.browser.post(
        "/oauth2/introspect", data={"token": tokens["access_token"]}, auth=("gateway", "another-secret-of-letters")
    )
    assert refused.status_code == 401


async def change(
    service: Running, cast: Cast, app: RelyingParty, clock: Clock, way: str, tokens: dict[str, str]
) -> None:
    match way:
        case "expired":
            clock.move(3601)
        case "revoked":
            form = {"token": tokens["access_token"]}
            await app.browser.post("/oauth2/revoke", data=form, auth=(app.client, SECRET))
        case "signed out":
            await app.browser.delete("/api/session")
        case "disabled":
            await service.state["accounts"].set_disabled(cast.bob.id, True)
        case "group":
            await service.state["users"].set_groups(cast.bob.id, ())
        case "renamed":
            await service.state["users"].set_display_name(cast.bob.id, "Robert")
        case "refreshed":
            await app.refresh(tokens["refresh_token"])


async def test_session_that_ends_at_another_worker_is_refused(
    make_settings: Callable[..., Settings], service: Running, cast: Cast, app: RelyingParty, clock: Clock
) -> None:
    tokens = await app.sign_in()
    async with running(make_settings(public_url="http://tallygate.test", clients=clients()), clock) as other:
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        for _ in range(2):
            assert (await other.client.get("/oauth2/userinfo", headers=headers)).status_code == 200
        await app.browser.delete("/api/session")
        async with asyncio.timeout(PATIENCE):
            while (await other.client.get("/oauth2/userinfo", headers=headers)).status_code == 200:
                pass


async def test_code_that_another_worker_exchanged_is_replayed(
    make_settings: Callable[..., Settings], service: Running, app: RelyingParty, clock: Clock
) -> None:
    code = await app.code()
    async with running(make_settings(public_url="http://tallygate.test", clients=clients()), clock) as other:
        tokens = (await RelyingParty(other.client).redeem(code)).json()
        assert (await app.redeem(code)).json()["error"] == "invalid_grant"
        assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_answers_about_refresh_tokens_take_no_room_from_others(
    app: RelyingParty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(response_cache, "MAX_RESPONSES", 2)
    tokens = await app.sign_in()
    await app.userinfo(tokens["access_token"])
    for number in range(3):
        form = {"token": tokens["refresh_token"], "number": str(number)}
        answer = await app.browser.post("/oauth2/introspect", data=form, auth=("gateway", SECRET))
        assert answer.json()["active"] is True
    monkeypatch.delattr(Issuing, "claims")
    assert (await app.userinfo(tokens["access_token"])).status_code == 200
