"""The WeChat of development asks who scans, and answers as the real one."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from dev.serving import served
from dev.wechat.api import WeChatApi
from dev.wechat.pushes import Receiver
from dev.wechat.sign_in import PARAMETERS, PEOPLE
from dev.wechat.simulator import Simulator
from tests.helpers.clock import Clock

APPS = {"wx-website": "one secret", "wx-inside": "another secret"}
PAGE = "/connect/qrconnect"
QUERY = dict(
    zip(PARAMETERS, ("wx-website", "http://127.0.0.1:8000/callback", "code", "snsapi_login", "5f"), strict=True)
)


@pytest.fixture
async def wechat() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(Simulator(APPS).app())
    async with httpx.AsyncClient(transport=transport, base_url="http://wechat.test") as client:
        yield client


async def scanned(wechat: httpx.AsyncClient, who: str, appid: str = "wx-website") -> dict[str, list[str]]:
    """The callback's parameters."""
    form = {"appid": appid, "redirect_uri": QUERY["redirect_uri"], "state": "5f", "who": who}
    answer = await wechat.post("/connect/answer", data=form)
    address = answer.headers["location"]
    assert address.startswith(f"{QUERY['redirect_uri']}?")
    return parse_qs(urlsplit(address).query)


async def user(wechat: httpx.AsyncClient, who: str, appid: str = "wx-website") -> dict[str, str]:
    code = (await scanned(wechat, who, appid))["code"][0]
    asked = {"appid": appid, "secret": APPS[appid], "code": code, "grant_type": "authorization_code"}
    tokens = await wechat.get("/sns/oauth2/access_token", params=asked)
    assert tokens.headers["content-type"] == "text/plain"
    again = await wechat.get("/sns/oauth2/access_token", params=asked)
    assert (again.status_code, again.json()["errcode"]) == (200, 40163)
    asked = {"access_token": tokens.json()["access_token"], "openid": tokens.json()["openid"]}
    found: dict[str, str] = (await wechat.get("/sns/userinfo", params=asked)).json()
    assert found["openid"] == tokens.json()["openid"]
    asked = {"appid": appid, "grant_type": "refresh_token", "refresh_token": tokens.json()["refresh_token"]}
    fresh = (await wechat.get("/sns/oauth2/refresh_token", params=asked)).json()
    asked = {"access_token": fresh["access_token"], "openid": fresh["openid"]}
    assert (await wechat.get("/sns/userinfo", params=asked)).json() == found
    return found


@pytest.mark.parametrize(("path", "scope"), [(PAGE, "snsapi_login"), ("/connect/oauth2/authorize", "snsapi_userinfo")])
async def test_the_page_asks_who_it_is(path: str, scope: str, wechat: httpx.AsyncClient) -> None:
    page = await wechat.get(path, params=QUERY | {"scope": scope})
    assert page.status_code == 200
    assert all(name in page.text for name in PEOPLE)
    assert ("<svg" in page.text) is (path == PAGE)


async def test_an_openid_is_of_one_app_and_a_unionid_of_all(wechat: httpx.AsyncClient) -> None:
    here, inside = await user(wechat, "张三"), await user(wechat, "张三", "wx-inside")
    assert here["nickname"] == "张三"
    assert here["openid"] != inside["openid"]
    assert here["unionid"] == inside["unionid"] != (await user(wechat, "李四"))["unionid"]


async def test_a_refusal_brings_no_code(wechat: httpx.AsyncClient) -> None:
    assert await scanned(wechat, "") == {"code": ["authdeny"], "state": ["5f"]}


@pytest.mark.parametrize(
    "query",
    [
        dict(reversed(QUERY.items())),
        QUERY | {"appid": "unknown"},
        QUERY | {"scope": "snsapi_userinfo"},
        QUERY | {"response_type": "token"},
        QUERY | {"state": "not.letters"},
        QUERY | {"state": "x" * 129},
        QUERY | {"more": "1"},
    ],
)
async def test_malformed_wechat_request_is_refused(query: dict[str, str], wechat: httpx.AsyncClient) -> None:
    page = await wechat.get(PAGE, params=query)
    assert page.status_code == 400
    assert 'role="alert"' in page.text
    assert "<form" not in page.text


@pytest.mark.parametrize(
    ("asked", "errcode"),
    [({"appid": "wx-website", "secret": "wrong"}, 40125), ({"appid": "wx-website", "secret": "one secret"}, 40029)],
)
async def test_simulator_errors_match_wechats(asked: dict[str, str], errcode: int, wechat: httpx.AsyncClient) -> None:
    answer = await wechat.get("/sns/oauth2/access_token", params=asked | {"code": "unknown"})
    assert (answer.status_code, answer.json()["errcode"]) == (200, errcode)
    assert (await wechat.get("/sns/userinfo", params={"access_token": "x"})).json()["errcode"] == 40001
    asked = {"appid": "wx-website", "grant_type": "refresh_token", "refresh_token": "x"}
    assert (await wechat.get("/sns/oauth2/refresh_token", params=asked)).json()["errcode"] == 40030


async def test_the_page_pushes_expires_and_is_busy() -> None:
    heard: list[str] = []

    async def receive(request: Request[Any]) -> Response:
        heard.append((await request.body()).decode())
        return PlainTextResponse("success")

    with served(Starlette(routes=[Route("/{path:path}", receive, methods=["POST"])])) as url:
        shop = Receiver(f"{url}/shop", "wx-shop", "token")
        suite = Receiver(f"{url}/suite", "wx-suite", "token", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG")
        simulator = Simulator({}, 60, {"wx-shop": "secret"}, {"shop": shop}, [(suite, "secret")])
        transport = httpx.ASGITransport(simulator.app())
        async with httpx.AsyncClient(transport=transport, base_url="http://wechat.test") as browser:
            assert "Push a message" in (await browser.get("/simulator")).text
            pressed = {"account": "shop", "content": "你好"}
            for action in ("text", "event", "ticket", "unauthorize"):
                answer = await browser.post("/simulator", data=pressed | {"action": action})
                assert "200 success" in answer.text
            assert "你好" in heard[0]
            assert "你好" in heard[1]
            assert all("<Encrypt>" in each for each in heard[2:])
            await browser.post("/simulator", data={"action": "busy"})
            who = {"appid": "wx-shop", "secret": "secret"}
            codes = [(await browser.get("/cgi-bin/token", params=who)).json().get("errcode") for _ in range(2)]
            assert codes == [-1, None]
            await browser.post("/simulator", data={"action": "expire"})
            assert simulator.api.tokens == {}


async def test_new_token_invalidates_the_former_and_has_a_quota() -> None:
    clock = Clock()
    api = WeChatApi({"wx": "secret"}, clock, quotas={"/cgi-bin/tags/get": 1})
    transport = httpx.ASGITransport(api.app())
    async with httpx.AsyncClient(transport=transport, base_url="http://wechat.test") as client:
        who = {"appid": "wx", "secret": "secret"}
        first = (await client.get("/cgi-bin/token", params=who)).json()["access_token"]
        stable = (await client.post("/cgi-bin/stable_token", json=who)).json()["access_token"]
        await client.get("/cgi-bin/token", params=who)

        async def code(token: str, path: str = "/cgi-bin/user/get") -> int | None:
            found: int | None = (await client.get(path, params={"access_token": token})).json().get("errcode")
            return found

        assert await code(first) is None
        clock.move(301)
        assert (await code(first), await code(stable)) == (40001, None)
        assert (await client.post("/cgi-bin/stable_token", json=who)).json()["access_token"] == stable
        assert [await code(stable, "/cgi-bin/tags/get") for _ in range(2)] == [None, 45009]
        forced = [(await client.post("/cgi-bin/stable_token", json=who | {"force_refresh": True})).json() for _ in "12"]
        assert [each.get("errcode") for each in forced] == [None, 45011]
