"""A third-party platform: tickets, consent, the tokens and messages of accounts that authorised it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from html import unescape
from typing import Any
from unittest.mock import AsyncMock
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.applications import Starlette

from app.settings import Settings
from app.store.client import StoreUnavailable
from app.wechat.platform_store import PlatformStore
from dev.serving import served
from dev.wechat.api import WeChatApi
from dev.wechat.platform import Platform
from dev.wechat.pushes import Receiver, message, notice, signed
from tests.helpers.cast import make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running
from tests.helpers.sockets import PATIENCE
from tests.wechat.conftest import KEY, TOKEN, hashed

CALLBACK = "/wechat/platform/suite/callback"
SUITE = Receiver(CALLBACK, "wx-suite", "token of the suite", KEY)
APPID = "wx-authorized"
INFO = f"/wechat/{APPID}/cgi-bin/user/info?openid=o1"


@pytest.fixture
def there(wechat: WeChatApi, clock: Clock) -> Platform:
    return Platform(SUITE, "secret of the suite", wechat, clock)


@pytest.fixture
def wechat_url(wechat: WeChatApi, there: Platform) -> Iterator[str]:
    with served(Starlette(routes=[*there.routes(), *wechat.routes()])) as url:
        yield url


@pytest.fixture
async def service(wechat_settings: Settings, wechat_url: str, clock: Clock) -> AsyncIterator[Running]:
    suite = {
        "appid": "wx-suite", "secret": "secret of the suite", "token": SUITE.token, "encoding_aes_key": KEY,
        "api_url": wechat_url, "open_url": wechat_url, "jssdk_origins": {APPID: ["https://shop.example.com/"]},
    }  # fmt: skip
    granted = {"tokens": hashed(TOKEN), "wechat": {APPID: {}}}
    changed = {"wechat_platform": {"suite": suite}, "services": {"billing": granted}}
    async with running(wechat_settings.model_copy(update=changed), clock) as service:
        yield service


async def push(service: Running, clock: Clock, kind: str, **fields: str) -> httpx.Response:
    query, body = signed(SUITE, notice("wx-suite", kind, clock(), **fields), clock())
    return await service.client.post(CALLBACK, params=query, content=body)


async def push_ticket(service: Running, there: Platform, clock: Clock, ticket: str = "ticket@@@1") -> None:
    there.ticket = ticket
    answer = await push(service, clock, "component_verify_ticket", ComponentVerifyTicket=ticket)
    assert answer.text == "success"


async def authorize(service: Running, there: Platform, clock: Clock) -> str:
    """The code with which the account authorised the platform."""
    await push_ticket(service, there, clock)
    code = there.consent(APPID)
    answer = await push(service, clock, "authorized", AuthorizerAppid=APPID, AuthorizationCode=code)
    assert answer.text == "success"
    return code


async def test_authorised_account_is_called_by_its_appid(
    service: Running, there: Platform, program: httpx.AsyncClient, wechat: WeChatApi, clock: Clock
) -> None:
    assert (await program.get(INFO)).status_code == 404
    await authorize(service, there, clock)
    assert (await program.get(INFO)).json()["openid"] == "o1"
    first = there.authorizations[APPID]
    clock.move(7201)
    assert (await program.get(INFO)).json()["openid"] == "o1"
    assert there.authorizations[APPID] != first  # the former refresh token was replaced, and the new one is kept
    clock.move(7201)
    assert (await program.get(INFO)).json()["openid"] == "o1"
    assert "secret of the suite" not in str([query for path, query in wechat.asked if path == "/cgi-bin/user/info"])


async def test_pages_of_an_authorised_account_get_signatures(service: Running, there: Platform, clock: Clock) -> None:
    await authorize(service, there, clock)
    path = f"/api/wechat/{APPID}/jssdk"
    answer = await service.client.get(path, params={"url": "https://shop.example.com/a"})
    assert (answer.status_code, answer.json()["appId"]) == (200, APPID)
    assert (await service.client.get(path, params={"url": "https://evil.example/a"})).status_code == 400


async def test_both_workers_know_an_account_and_its_withdrawal(
    service: Running, there: Platform, program: httpx.AsyncClient, clock: Clock
) -> None:
    await authorize(service, there, clock)
    await program.get(INFO)
    assert (await push(service, clock, "unauthorized", AuthorizerAppid=APPID)).text == "success"
    assert (await program.get(INFO)).status_code == 404
    fields = await service.state["store"].idempotent("EXISTS", f"{{wechat:{APPID}}}:access_token")
    assert fields == 0


async def test_component_token_is_renewed_after_1_h_50(
    service: Running, there: Platform, wechat: WeChatApi, clock: Clock
) -> None:
    await authorize(service, there, clock)
    tokens, path = service.state["wechat"].component_tokens()["suite"], "/cgi-bin/component/api_component_token"
    clock.move(6590)
    await tokens()
    assert wechat.count(path) == 1
    clock.move(20)
    await tokens()
    async with asyncio.timeout(PATIENCE):
        while wechat.count(path) < 2:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("errcode", [61004, 61007, 61023])
async def test_refused_authorization_is_asked_for_once_a_minute(
    service: Running, there: Platform, program: httpx.AsyncClient, wechat: WeChatApi, clock: Clock, errcode: int
) -> None:
    path = "/cgi-bin/component/api_authorizer_token"
    await authorize(service, there, clock)
    wechat.errors[path] = [errcode]
    answers = [await program.get(INFO) for _ in range(2)]
    assert [(answer.status_code, answer.json()["errcode"]) for answer in answers] == [(503, errcode)] * 2
    assert wechat.count(path) == 1


@pytest.mark.parametrize(
    ("call", "refusal", "other", "mend"),
    [("api_authorizer_token", 61023, 45009, authorize), ("api_component_token", 61005, 40164, push_ticket)],
)
async def test_new_authorization_or_ticket_ends_the_pause_of_the_former(
    service: Running,
    there: Platform,
    program: httpx.AsyncClient,
    wechat: WeChatApi,
    clock: Clock,
    call: str,
    refusal: int,
    other: int,
    mend: Callable[[Running, Platform, Clock], Awaitable[object]],
) -> None:
    await authorize(service, there, clock)
    clock.move(7201)
    wechat.errors[f"/cgi-bin/component/{call}"] = [refusal, other]
    assert (await program.get(INFO)).json()["errcode"] == refusal
    await mend(service, there, clock)
    for _ in range(2):  # another try, and no third one
        assert (await program.get(INFO)).json()["errcode"] == other
        await mend(service, there, clock)
    clock.move(61)
    assert (await program.get(INFO)).json()["openid"] == "o1"


async def test_refresh_token_that_cannot_be_stored_is_used_again(
    service: Running, there: Platform, program: httpx.AsyncClient, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await authorize(service, there, clock)
    with monkeypatch.context() as away:
        away.setattr(PlatformStore, "save_refresh_token", AsyncMock(side_effect=StoreUnavailable("away", sent=False)))
        assert (await program.get(INFO)).json()["openid"] == "o1"
        clock.move(7201)
        assert (await program.get(INFO)).json()["openid"] == "o1"
    for _ in range(2):
        clock.move(7201)
        assert (await program.get(INFO)).json()["openid"] == "o1"


@pytest.mark.parametrize("errcode", [61005, 61006])
async def test_refused_ticket_is_reported(
    service: Running, there: Platform, wechat: WeChatApi, clock: Clock, errcode: int
) -> None:
    await make_cast(service)
    alice = await signed_in(service, "alice")
    await push_ticket(service, there, clock)
    wechat.errors["/cgi-bin/component/api_component_token"] = [errcode]
    for _ in range(2):
        answer = await alice.get("/wechat/platform/suite/authorize", headers={"Accept": "application/json"})
        assert (answer.status_code, answer.json()["errcode"]) == (503, errcode)
    assert wechat.count("/cgi-bin/component/api_component_token") == 1


async def test_owner_consents_on_wechats_page(
    service: Running, there: Platform, wechat_url: str, wechat: WeChatApi, clock: Clock
) -> None:
    await make_cast(service)
    alice = await signed_in(service, "alice")
    await push_ticket(service, there, clock)
    page = await alice.get("/wechat/platform/suite/authorize")
    assert page.headers["referrer-policy"] == "origin"
    url = unescape(page.text.partition(f'href="{wechat_url}')[2].partition('"')[0])
    async with httpx.AsyncClient(base_url=wechat_url) as browser:
        assert (await browser.get(url)).status_code == 400  # no Referer
        assert (await browser.get(url, headers={"Referer": "http://tallygate.test/"})).status_code == 200
    query = parse_qs(urlsplit(url).query)
    assert query["redirect_uri"] == ["http://tallygate.test/wechat/platform/suite/authorized"]
    code = there.consent(APPID)
    back = {"auth_code": code, "expires_in": "600"}
    answers = await asyncio.gather(
        alice.get("/wechat/platform/suite/authorized", params=back),
        push(service, clock, "authorized", AuthorizerAppid=APPID, AuthorizationCode=code),
    )
    assert [answer.status_code for answer in answers] == [303, 200]
    assert wechat.count("/cgi-bin/component/api_query_auth") == 1
    assert [account["name"] for account in (await alice.get("/api/wechat")).json()] == ["shop", "sealed", APPID]
    bob = await signed_in(service, "bob")
    assert (await bob.get("/wechat/platform/suite/authorize")).status_code == 403


async def test_code_that_could_not_be_exchanged_may_come_again(
    service: Running, there: Platform, program: httpx.AsyncClient, wechat: WeChatApi, clock: Clock
) -> None:
    await push_ticket(service, there, clock)
    code = there.consent(APPID)
    wechat.errors["/cgi-bin/component/api_query_auth"] = [-1]
    told = {"AuthorizerAppid": APPID, "AuthorizationCode": code}
    assert (await push(service, clock, "authorized", **told)).status_code == 502
    assert (await push(service, clock, "authorized", **told)).text == "success"
    assert (await program.get(INFO)).status_code == 200


async def test_older_ticket_does_not_replace_a_newer_one(service: Running, there: Platform, clock: Clock) -> None:
    await push_ticket(service, there, clock, "newer")
    clock.move(-60)
    await push_ticket(service, there, clock, "older")
    stored = await service.state["wechat"].platforms["suite"].store.ticket()
    assert stored is not None
    assert stored.value == "newer"


async def test_messages_of_an_authorised_account(service: Running, there: Platform, clock: Clock) -> None:
    await authorize(service, there, clock)
    query, body = signed(SUITE, message("text", clock(), Content="你好"), clock())
    answer = await service.client.post(f"/wechat/platform/suite/{APPID}/callback", params=query, content=body)
    assert answer.text == "success"
    assert [each.account for each in await service.state["wechat_messages"].last()] == [APPID]
    unknown = await service.client.post("/wechat/platform/suite/wx-other/callback", params=query, content=body)
    assert unknown.status_code == 404


@pytest.mark.parametrize("change", [{"msg_signature": "0" * 40}, {"timestamp": "1"}, {"timestamp": "x"}])
async def test_forged_notice_is_refused(
    service: Running, there: Platform, clock: Clock, change: dict[str, str]
) -> None:
    told: dict[str, Any] = {"ComponentVerifyTicket": "forged"}
    query, body = signed(SUITE, notice("wx-suite", "component_verify_ticket", clock(), **told), clock())
    assert (await service.client.post(CALLBACK, params=query | change, content=body)).status_code == 400
    assert await service.state["wechat"].platforms["suite"].store.ticket() is None


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("component_verify_ticket", {"ComponentVerifyTicket": ""}),
        ("component_verify_ticket", {"ComponentVerifyTicket": " \n "}),
        ("component_verify_ticket", {}),
        ("component_verify_ticket", {"ComponentVerifyTicket": "t", "CreateTime": ""}),
        ("component_verify_ticket", {"ComponentVerifyTicket": "t", "CreateTime": "9999999999"}),
        ("authorized", {"AuthorizationCode": ""}),
        ("updateauthorized", {"AuthorizerAppid": APPID}),
        ("unauthorized", {"AuthorizerAppid": ""}),
    ],
)
async def test_notice_with_an_empty_field_changes_nothing(
    service: Running, there: Platform, clock: Clock, kind: str, fields: dict[str, str]
) -> None:
    await authorize(service, there, clock)
    store = service.state["wechat"].platforms["suite"].store
    before = await store.ticket(), await store.appids()
    clock.move(1)
    assert (await push(service, clock, kind, **fields)).status_code == 400
    assert (await store.ticket(), await store.appids()) == before
