"""What services learn of people who sign in with WeChat."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from app.settings import Settings
from dev.serving import served
from tests.fakes.wechat import SECRETS, FakeWeChat
from tests.helpers.oauth_flow import OAuthFlow
from tests.helpers.service import Running, running
from tests.oauth_client.test_wechat import INSIDE
from tests.oauth_server.conftest import RelyingParty, clients

UNIONID = "o6_bmasdasdsad6_2sgVt7hMZOPfL"


@pytest.fixture
def wechat() -> Iterator[tuple[FakeWeChat, dict[str, Any]]]:
    fake = FakeWeChat()
    with served(fake.app()) as address:
        yield fake, {
            "type": "wechat", "account": "site", "inside_appid": "wx-inside", "inside_secret": SECRETS["wx-inside"],
            "open_url": address, "api_url": address, "allow": "everybody",
        }  # fmt: skip


async def claim(service: Running, wechat: FakeWeChat, openid: str, **headers: str) -> Any:
    """The claim after a sign-in with WeChat, in the ID token and at the userinfo endpoint."""
    wechat.user["openid"] = openid
    flow = OAuthFlow(service.another_client(headers=headers))
    assert (await flow.sign_in("wechat")).status_code == 303
    app = RelyingParty(flow.browser)
    tokens = await app.sign_in(scope="openid wechat")
    keys = KeySet.import_key_set((await service.client.get("/oauth2/jwks.json")).json())
    claims = jwt.decode(tokens["id_token"], keys, algorithms=["ES256"]).claims
    assert (await app.userinfo(tokens["access_token"])).json().get("wechat") == claims.get("wechat")
    return claims.get("wechat")


async def test_claim_names_the_account_of_the_sign_in_and_the_openid_there(
    make_settings: Callable[..., Settings], wechat: tuple[FakeWeChat, dict[str, Any]]
) -> None:
    fake, table = wechat
    tables = clients()
    tables["app"]["scopes"] = ["openid", "wechat"]
    site = {"appid": "wx-website", "secret": SECRETS["wx-website"]}
    settings = make_settings(
        public_url="http://tallygate.test", clients=tables, oauth={"wechat": table}, wechat={"site": site}
    )
    async with running(settings) as service:
        assert await claim(service, fake, "o-1") == {"openid": "o-1", "account": "site"}
        fake.user["unionid"] = UNIONID
        assert await claim(service, fake, "o-1") == {"openid": "o-1", "account": "site", "unionid": UNIONID}
        inside = await claim(service, fake, "o-2", **{"User-Agent": INSIDE})
        assert inside == {"openid": "o-2", "account": "wx-inside", "unionid": UNIONID}
