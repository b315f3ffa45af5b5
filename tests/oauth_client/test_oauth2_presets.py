"""Discord, Gitee, Feishu, DingTalk and WeCom: each with a fake of its habits."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from starlette.responses import JSONResponse

from app.settings import Settings
from dev.serving import served
from tests.fakes.oauth2 import FakeOAuth2
from tests.helpers.clock import Clock
from tests.helpers.oauth_flow import OAuthFlow
from tests.helpers.service import Running, running

CLIENT = {"client_id": "tallygate", "client_secret": "hush"}
EMAIL = {"email": "a@corp.example"}
USERS: dict[str, dict[str, Any]] = {
    "discord": {"id": "80351110224678912", "username": "nelly", "global_name": "Nelly", "verified": True, **EMAIL},
    "gitee": {"id": 7, "login": "nelly", "emails": [{**EMAIL, "state": "confirmed", "scope": ["primary"]}]},
    "feishu": {"open_id": "ou_1", "name": "nelly", "enterprise_email": "a@corp.example"},
    "dingtalk": {"openId": "o1", "unionId": "u1", "nick": "nelly"},
    "wecom": {"userid": "nelly", "name": "Nelly", "biz_mail": "a@corp.example"},
}
UNVERIFIED: dict[str, dict[str, Any]] = {
    "discord": USERS["discord"] | {"verified": False},
    "gitee": USERS["gitee"] | {"emails": [{**EMAIL, "state": "unconfirmed", "scope": ["primary"]}]},
    "feishu": {"open_id": "ou_1", "name": "nelly", **EMAIL},
    "dingtalk": USERS["dingtalk"] | EMAIL,
    "wecom": {"userid": "nelly", **EMAIL},
}


@pytest.fixture(scope="module")
def served_fake() -> Iterator[tuple[FakeOAuth2, str]]:
    fake = FakeOAuth2()
    with served(fake.app()) as address:
        yield fake, address


@pytest.fixture
def fake(served_fake: tuple[FakeOAuth2, str]) -> FakeOAuth2:
    served_fake[0].__dict__.update(FakeOAuth2().__dict__)
    return served_fake[0]


@pytest.fixture
def tables(fake: FakeOAuth2, served_fake: tuple[FakeOAuth2, str]) -> dict[str, dict[str, Any]]:
    url = served_fake[1]
    each = {"allow": "everybody", "base_url": url}
    return {
        "discord": {"type": "discord", **CLIENT, **each},
        "gitee": {"type": "gitee", **CLIENT, **each},
        "feishu": {"type": "feishu", **CLIENT, **each, "api_url": url},
        "dingtalk": {"type": "dingtalk", **CLIENT, **each, "api_url": url},
        "wecom": {
            "type": "wecom",
            "corpid": "ww1",
            "agentid": "1000002",
            "secret": "hush",
            "allow": "everybody",
            **dict.fromkeys(("login_url", "open_url", "api_url"), url),
        },
    }


@pytest.mark.parametrize("name", USERS)
async def test_preset_signs_the_same_user_in_twice(
    name: str, flow: OAuthFlow, service: Running, fake: FakeOAuth2
) -> None:
    fake.user = USERS[name]
    assert (await flow.sign_in(name, next="/account")).headers["location"] == "/account"
    user = await flow.user()
    assert user is not None
    assert user["name"] == "nelly"
    again = OAuthFlow(service.another_client())
    await again.sign_in(name)
    assert await again.user() == user


@pytest.mark.parametrize("name", USERS)
async def test_used_code_is_refused_by_preset(name: str, flow: OAuthFlow, fake: FakeOAuth2) -> None:
    fake.user = USERS[name]
    callback = await flow.authorize(await flow.start(name))
    fake.codes.clear()
    answer = await flow.callback(callback)
    assert answer.status_code == 400, answer.text
    assert await flow.user() is None


@pytest.mark.parametrize("name", USERS)
async def test_user_without_an_id_is_refused_by_preset(name: str, flow: OAuthFlow, fake: FakeOAuth2) -> None:
    fake.user = {"openid": "a stranger"} if name == "wecom" else {"name": "x"}
    answer = await flow.sign_in(name)
    assert answer.status_code == (403 if name == "wecom" else 502)
    assert await flow.user() is None


@pytest.mark.parametrize(("verified", "name"), [(verified, name) for verified in (True, False) for name in USERS])
async def test_only_verified_addresses_count_with_preset(
    verified: bool, name: str, tables: dict[str, Any], make_settings: Callable[..., Settings], fake: FakeOAuth2
) -> None:
    fake.user = (USERS if verified else UNVERIFIED)[name]
    tables[name]["allow"] = {"domains": ["corp.example"]}
    async with running(make_settings(oauth=tables)) as service:
        answer = await OAuthFlow(service.client).sign_in(name)
    assert answer.status_code == (303 if verified and name != "dingtalk" else 403)


@pytest.mark.parametrize("name", USERS)
async def test_wrong_client_secret_is_logged_with_preset(
    name: str, tables: dict[str, Any], make_settings: Callable[..., Settings], fake: FakeOAuth2
) -> None:
    if name in {"feishu", "dingtalk"}:
        path = {"feishu": "/open-apis/authen/v1/user_info", "dingtalk": "/v1.0/contact/users/me"}[name]
        fake.instead[path] = lambda: JSONResponse({"code": 99991663, "msg": "invalid token"}, 401)
    tables[name]["secret" if name == "wecom" else "client_secret"] = "hush" if fake.instead else "wrong"
    fake.user = USERS[name]
    async with running(make_settings(oauth=tables)) as service:
        assert (await OAuthFlow(service.client).sign_in(name)).status_code == 502


async def test_wecom_token_is_cached_until_it_expires(
    flow: OAuthFlow, service: Running, fake: FakeOAuth2, clock: Clock
) -> None:
    fake.user = USERS["wecom"]
    for _ in range(3):
        await OAuthFlow(service.another_client()).sign_in("wecom")
    assert fake.count("/cgi-bin/gettoken") == 1
    clock.move(6901)
    await flow.sign_in("wecom")
    assert fake.count("/cgi-bin/gettoken") == 2


async def test_inside_wecom_no_qr_code_is_shown(service: Running, fake: FakeOAuth2) -> None:
    user_agent = "Mozilla/5.0 MicroMessenger/7.0.1 wxwork/4.1.6"
    flow = OAuthFlow(service.another_client(headers={"User-Agent": user_agent}))
    address = urlsplit(await flow.start("wecom"))
    assert (address.path, address.fragment) == ("/connect/oauth2/authorize", "wechat_redirect")
    assert dict(parse_qsl(address.query))["agentid"] == "1000002"
