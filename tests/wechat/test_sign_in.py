"""Signing in with WeChat by an account of the settings, or on behalf of one that authorised a platform."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.applications import Starlette

from app.oauth_client.errors import Misconfigured
from app.oauth_client.providers.wechat import WeChatSettings
from app.settings import Settings
from dev.serving import served
from dev.wechat.api import WeChatApi
from dev.wechat.platform import Platform
from dev.wechat.sign_in import SignIn
from tests.helpers.clock import Clock
from tests.helpers.oauth_flow import OAuthFlow, ProviderBrowser
from tests.helpers.service import Running, running
from tests.oauth_client.test_wechat import INSIDE
from tests.wechat.conftest import APPID, KEY, SECRET
from tests.wechat.test_platform import SUITE, push_ticket

HOME = "http://tallygate.test"


@pytest.fixture
def there(wechat: WeChatApi, clock: Clock) -> Platform:
    return Platform(SUITE, "secret of the suite", wechat, clock)


@pytest.fixture
def wechat_url(wechat: WeChatApi, there: Platform) -> Iterator[str]:
    sign_in = SignIn({APPID: SECRET}, 60, [there])
    with served(Starlette(routes=[*sign_in.routes(), *there.routes(), *wechat.routes()])) as url:
        yield url


@pytest.fixture
async def service(wechat_settings: Settings, wechat_url: str, clock: Clock) -> AsyncIterator[Running]:
    suite = {
        "appid": "wx-suite", "secret": "secret of the suite", "token": SUITE.token, "encoding_aes_key": KEY,
        "api_url": wechat_url, "open_url": wechat_url,
    }  # fmt: skip
    sign_in = {
        "type": "wechat", "account": "shop", "inside_appid": "wx-authorized", "platform": "suite",
        "open_url": wechat_url, "api_url": wechat_url, "allow": "everybody", "refresh": True,
    }  # fmt: skip
    changed = {"wechat_platform": {"suite": suite}, "oauth": {"wechat": sign_in}, "registration": "open"}
    async with running(wechat_settings.model_copy(update=changed), clock) as service:
        yield service


async def test_account_is_named_instead_of_its_secret(service: Running) -> None:
    flow = OAuthFlow(service.client)
    async with ProviderBrowser(HOME) as there:
        address = await flow.start("wechat")
        assert parse_qs(urlsplit(address).query)["appid"] == [APPID]
        await flow.callback(await there.follow(address, who="李四"))
    user = await flow.user()
    assert user is not None
    assert user["name"] == "李四"


async def test_platform_signs_in_for_an_account(
    service: Running, there: Platform, wechat: WeChatApi, clock: Clock
) -> None:
    await push_ticket(service, there, clock)
    flow = OAuthFlow(service.another_client(headers={"User-Agent": INSIDE}))
    async with ProviderBrowser(HOME) as browser:
        address = await flow.start("wechat")
        assert list(parse_qs(urlsplit(address).query))[-1] == "component_appid"
        await flow.callback(await browser.follow(address, who="张三"))
    assert await flow.user() is not None
    clock.move(61)  # the session is checked by a refresh as the component
    assert await flow.user() is not None
    assert wechat.count("/cgi-bin/component/api_component_token") == 1


async def test_without_a_ticket_the_platform_cannot_sign_in(service: Running) -> None:
    flow = OAuthFlow(service.another_client(headers={"User-Agent": INSIDE}))
    async with ProviderBrowser(HOME) as browser:
        answer = await flow.callback(await browser.follow(await flow.start("wechat"), who="张三"))
    assert answer.status_code in {502, 503}


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"account": "other"}, "account: there is no such table of wechat"),
        ({"account": "shop", "appid": "wx"}, "exclude each other"),
        ({"account": "shop", "platform": "other", "inside_appid": "wx"}, "platform: there is no such table"),
        ({"account": "shop", "platform": "suite"}, "platform needs an inside_appid"),
        ({"account": "shop", "component_appid": "wx"}, "name the platform instead"),
    ],
)
def test_wrong_table_is_named(table: dict[str, Any], reason: str) -> None:
    others = {"wechat": {"shop": {"appid": "wx", "secret": "x"}}, "wechat_platform": {"suite": {"appid": "wx-suite"}}}
    with pytest.raises(Misconfigured, match=reason):
        WeChatSettings.read("wechat", {"type": "wechat", **table}, private=True, others=others)
