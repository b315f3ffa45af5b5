"""Signing in with WeChat, inside it and outside."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.responses import HTMLResponse

from app.settings import Settings
from dev.serving import served
from dev.wechat.sign_in import odd_json
from tests.fakes.noted import GONE
from tests.fakes.wechat import SECRETS, FakeWeChat
from tests.helpers.clock import Clock
from tests.helpers.oauth_flow import OAuthFlow, identity_ids
from tests.helpers.service import Running, running

INSIDE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile MicroMessenger/8.0.42"


@pytest.fixture(scope="module")
def served_wechat() -> Iterator[tuple[FakeWeChat, str]]:
    wechat = FakeWeChat()
    with served(wechat.app()) as address:
        yield wechat, address


@pytest.fixture
def wechat(served_wechat: tuple[FakeWeChat, str]) -> FakeWeChat:
    served_wechat[0].__dict__.update(FakeWeChat().__dict__)
    return served_wechat[0]


@pytest.fixture
def tables(wechat: FakeWeChat, served_wechat: tuple[FakeWeChat, str]) -> dict[str, dict[str, Any]]:
    table = {
        "type": "wechat",
        "appid": "wx-website",
        "secret": SECRETS["wx-website"],
        "inside_appid": "wx-inside",
        "inside_secret": SECRETS["wx-inside"],
        "open_url": served_wechat[1],
        "api_url": served_wechat[1],
        "allow": "everybody",
        "refresh": True,
    }
    return {"wechat": table}


async def test_outside_wechat_the_qr_code_page_is_used(flow: OAuthFlow, wechat: FakeWeChat) -> None:
    address = urlsplit(await flow.start("wechat"))
    assert (address.path, address.fragment) == ("/connect/qrconnect", "wechat_redirect")
    assert (await flow.sign_in("wechat", next="/account")).headers["location"] == "/account"
    user = await flow.user()
    assert user is not None
    assert user["name"] == "张三"  # without the control character in the nickname
    wechat.user = {"openid": "another", "nickname": "李四"}
    await flow.sign_in("wechat")
    another = await flow.user()
    assert another is not None
    assert another["name"] == "李四"


async def test_inside_wechat_the_official_account_is_used(service: Running, wechat: FakeWeChat) -> None:
    flow = OAuthFlow(service.another_client(headers={"User-Agent": INSIDE}))
    assert urlsplit(await flow.start("wechat")).path == "/connect/oauth2/authorize"
    assert (await flow.sign_in("wechat")).status_code == 303
    assert wechat.asked[-2].query["appid"] == "wx-inside"


async def test_one_unionid_is_one_user_in_all_apps(flow: OAuthFlow, service: Running, wechat: FakeWeChat) -> None:
    wechat.user |= {"unionid": "o6_bmasdasdsad6_2sgVt7hMZOPfL", "openid": "in the website"}
    await flow.sign_in("wechat")
    wechat.user["openid"] = "in the service account"
    inside = OAuthFlow(service.another_client(headers={"User-Agent": INSIDE}))
    await inside.sign_in("wechat")
    assert await inside.user() == await flow.user() is not None


async def test_later_unionid_finds_the_same_user(flow: OAuthFlow, wechat: FakeWeChat) -> None:
    await flow.sign_in("wechat")
    before = await flow.user()
    wechat.user["unionid"] = "o6_bmasdasdsad6_2sgVt7hMZOPfL"
    for _ in range(2):
        await flow.browser.post("/sign-out")
        await flow.sign_in("wechat")
        assert await flow.user() == before
    del wechat.user["unionid"]
    assert len(await identity_ids(flow)) == 1


async def test_unionid_of_another_user_moves_no_identity(flow: OAuthFlow, service: Running, wechat: FakeWeChat) -> None:
    wechat.user["unionid"] = "o6_bmasdasdsad6_2sgVt7hMZOPfL"
    await flow.sign_in("wechat")
    owner = await flow.user()
    inside = OAuthFlow(service.another_client(headers={"User-Agent": INSIDE}))
    unionid = wechat.user.pop("unionid")
    await inside.sign_in("wechat")
    assert await inside.user() != owner
    wechat.user["unionid"] = unionid
    await inside.browser.post("/sign-out")
    await inside.sign_in("wechat")
    assert await inside.user() == owner


@pytest.mark.parametrize(
    ("nickname", "name"),
    [
        ("小明👨\u200d👩\u200d👧", "小明👨👩👧"),
        ("❤\ufe0f心", "❤心"),
        ("\u200b张\u00ad三", "张三"),
        ("a\u2800b c", "ab-c"),
        ("李／四", "李-四"),
        ("🏳\ufe0f\u200d🌈", "🏳🌈"),
    ],
)
async def test_invisible_characters_of_a_nickname_are_dropped(
    nickname: str, name: str, flow: OAuthFlow, wechat: FakeWeChat
) -> None:
    wechat.user["nickname"] = nickname
    await flow.sign_in("wechat")
    user = await flow.user()
    assert user is not None
    assert user["name"] == name


async def test_wecom_browser_counts_as_outside_wechat(service: Running) -> None:
    flow = OAuthFlow(service.another_client(headers={"User-Agent": f"{INSIDE} wxwork/4.1.6"}))
    assert urlsplit(await flow.start("wechat")).path == "/connect/qrconnect"


async def test_one_openid_of_two_apps_is_two_users(flow: OAuthFlow, service: Running, wechat: FakeWeChat) -> None:
    await flow.sign_in("wechat")
    inside = OAuthFlow(service.another_client(headers={"User-Agent": INSIDE}))
    await inside.sign_in("wechat")
    assert await inside.user() != await flow.user()


@pytest.mark.parametrize("callback", [{"code": GONE}, {"code": "authdeny"}, {"code": ""}])
async def test_cancelled_consent_is_told(callback: dict[str, Any], flow: OAuthFlow, wechat: FakeWeChat) -> None:
    wechat.callback = callback
    answer = await flow.sign_in("wechat")
    assert answer.status_code == 200
    assert "cancelled" in answer.text
    assert wechat.count("/sns/oauth2/access_token") == 0


async def test_repeated_callback_with_another_code_redirects_to_the_page(flow: OAuthFlow, wechat: FakeWeChat) -> None:
    callback = await flow.authorize(await flow.start("wechat", next="/account"))
    await flow.callback(callback)
    answer = await flow.callback(callback.replace("code=", "code=another"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    assert wechat.count("/sns/oauth2/access_token") == 1


def errs(path: str, code: object) -> Callable[[FakeWeChat], object]:
    return lambda wechat: wechat.instead.update({path: lambda: odd_json({"errcode": code, "errmsg": "no"})})


TOKEN, USERINFO = "/sns/oauth2/access_token", "/sns/userinfo"
BAD: dict[str, tuple[Callable[[FakeWeChat], object], int]] = {
    "an invalid code": (errs(TOKEN, 40029), 400),
    "a used code": (errs(TOKEN, 40163), 400),
    "an old code, as a text": (errs(TOKEN, "42003"), 400),
    "a wrong secret": (errs(TOKEN, 40125), 502),
    "our address not on its list": (errs(TOKEN, 40164), 502),
    "a busy WeChat": (errs(TOKEN, -1), 502),
    "an errcode that is none": (errs(TOKEN, ["x"]), 502),
    "an errcode that is a word": (errs(TOKEN, "x"), 502),
    "a missing scope": (errs(USERINFO, 48001), 502),
    "a snapshot user": (lambda wechat: wechat.tokens.update(is_snapshotuser=1), 403),
    "no openid": (lambda wechat: wechat.tokens.update(openid=GONE), 502),
    "an openid that is a list": (lambda wechat: wechat.tokens.update(openid=["x"]), 502),
    "no token": (lambda wechat: wechat.tokens.update(access_token=GONE), 502),
    "another openid": (lambda wechat: wechat.tokens.update(openid="another"), 502),
    "a page": (lambda wechat: wechat.instead.update({TOKEN: lambda: HTMLResponse("<p>")}), 502),
}


@pytest.mark.parametrize("bad", BAD)
async def test_bad_provider_response_is_refused(
    bad: str, flow: OAuthFlow, wechat: FakeWeChat, users: Callable[[], int]
) -> None:
    callback = await flow.authorize(await flow.start("wechat"))
    BAD[bad][0](wechat)
    answer = await flow.callback(callback)
    assert answer.status_code == BAD[bad][1]
    assert 'role="alert"' in answer.text
    assert users() == 0
    assert wechat.count(TOKEN) == 1


async def test_rule_about_addresses_refuses_users_without_an_address(
    tables: dict[str, dict[str, Any]], make_settings: Callable[..., Settings]
) -> None:
    tables["wechat"]["allow"] = {"domains": ["corp.example"]}
    async with running(make_settings(oauth=tables)) as service:
        assert (await OAuthFlow(service.client).sign_in("wechat")).status_code == 403


@pytest.mark.parametrize("inside", [True, False])
async def test_expired_token_is_refreshed_at_wechat(
    inside: bool, flow: OAuthFlow, wechat: FakeWeChat, clock: Clock
) -> None:
    flow.browser.headers["user-agent"] = INSIDE if inside else "Firefox"
    await flow.sign_in("wechat")
    for _ in range(2):
        clock.move(7200)
        assert await flow.user() is not None
    assert wechat.count("/sns/oauth2/refresh_token") == 2


@pytest.mark.parametrize(("errcode", "stays"), [(42007, False), (42002, False), (40030, False), (-1, True)])
async def test_errcode_at_refresh_ends_the_session(
    errcode: int, stays: bool, flow: OAuthFlow, wechat: FakeWeChat, clock: Clock
) -> None:
    await flow.sign_in("wechat")
    wechat.refusal = errcode
    clock.move(7200)
    assert (await flow.user() is not None) is stays
