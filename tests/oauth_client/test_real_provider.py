"""Signing in with a real OpenID provider: the npm package oidc-provider, which is certified, and not ours."""

import re
import time
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

import pytest

from app.settings import Settings
from dev.openid import Client, NodeMissing, openid_provider
from tests.helpers.oauth_flow import OAuthFlow, ProviderBrowser
from tests.helpers.service import Running, running

HOME = "http://tallygate.test"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """The provider's address."""
    try:
        with openid_provider(Client("real", "tallygate", "secret of the client"), [HOME]) as address:
            yield address
    except NodeMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def tables(issuer: str) -> dict[str, dict[str, Any]]:
    table = {
        "type": "oidc",
        "issuer": issuer,
        "client_id": "tallygate",
        "client_secret": "secret of the client",
        "allow": {"domains": ["corp.example"]},
        "sign_out_there": True,
    }
    return {"real": table}


async def test_real_provider_signs_in_twice_and_out(
    make_settings: Callable[..., Settings], tables: dict[str, dict[str, Any]]
) -> None:
    async with running(make_settings(oauth=tables)) as service, ProviderBrowser(HOME) as there:
        flow = OAuthFlow(service.another_client(headers={"Accept": "text/html"}))
        callback = await there.follow(await flow.start("real", next="/account"), login="alice", password="x")
        assert (await flow.callback(callback)).headers["location"] == "/account"
        first = await flow.user()
        assert first is not None
        assert first["name"] == "alice"

        second = await another_browser(service, there)
        assert await second.user() == first

        page = await flow.browser.post("/sign-out")
        url = re.search(r'content="0; url=([^"]+)"', page.text)
        assert url is not None
        assert await there.follow(unescape(url[1]), logout="yes") == f"{HOME}/"
        assert await flow.user() is None

        third = OAuthFlow(service.another_client())
        callback = await there.follow(await third.start("real"), login="bob", password="x")
        await third.callback(callback)
        user = await third.user()
        assert user is not None
        assert user["name"] == "bob"


async def test_real_provider_returns_auth_time_for_max_age(
    make_settings: Callable[..., Settings], tables: dict[str, dict[str, Any]]
) -> None:
    async with running(make_settings(oauth=tables)) as service, ProviderBrowser(HOME) as there:
        flow = OAuthFlow(service.another_client(headers={"Accept": "text/html"}))
        began = time.time()
        await flow.callback(await there.follow(await flow.start("real"), login="dora", password="x"))
        assert await auth_time(flow) == 0  # it tells only those who ask
        await flow.callback(await there.follow(await flow.start("real")))
        assert began - 2 <= await auth_time(flow) <= time.time()
        assert (await flow.browser.post("/account/identities/real")).status_code == 200


async def auth_time(flow: OAuthFlow) -> float:
    (session,) = (await flow.browser.get("/api/account/sessions")).json()
    return float(session["auth_time"])


async def another_browser(service: Running, there: ProviderBrowser) -> OAuthFlow:
    """Signs in while the provider still knows who it is: it asks nothing."""
    flow = OAuthFlow(service.another_client())
    await flow.callback(await there.follow(await flow.start("real")))
    return flow
