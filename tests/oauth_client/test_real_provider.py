"""Signing in with a real OpenID provider: the npm package oidc-provider, which is certified, and not ours."""

import re
import time
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

import pytest

from app.settings import Settings
from dev.openid import Client, NodeMissing, openid_provider
from tests.helpers.service import Running, running
from tests.oauth_client.walk import There, Walk

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


async def test_first_and_second_sign_in_and_out_at_both_ends(
    make_settings: Callable[..., Settings], tables: dict[str, dict[str, Any]]
) -> None:
    async with running(make_settings(oauth=tables)) as service, There(HOME) as there:
        walk = Walk(service.another_client(headers={"Accept": "text/html"}))
        callback = await there.until_back(await walk.out("real", next="/account"), login="alice", password="x")
        assert (await walk.back(callback)).headers["location"] == "/account"
        first = await walk.user()
        assert first is not None
        assert first["name"] == "alice"

        second = await another_browser(service, there)
        assert await second.user() == first

        page = await walk.browser.post("/sign-out")
        url = re.search(r'content="0; url=([^"]+)"', page.text)
        assert url is not None
        assert await there.until_back(unescape(url[1]), logout="yes") == f"{HOME}/"
        assert await walk.user() is None

        third = Walk(service.another_client())
        callback = await there.until_back(await third.out("real"), login="bob", password="x")
        await third.back(callback)
        user = await third.user()
        assert user is not None
        assert user["name"] == "bob"


async def test_a_round_with_max_age_tells_when_the_user_authenticated(
    make_settings: Callable[..., Settings], tables: dict[str, dict[str, Any]]
) -> None:
    async with running(make_settings(oauth=tables)) as service, There(HOME) as there:
        walk = Walk(service.another_client(headers={"Accept": "text/html"}))
        began = time.time()
        await walk.back(await there.until_back(await walk.out("real"), login="dora", password="x"))
        assert await auth_time(walk) == 0  # it tells only those who ask
        await walk.back(await there.until_back(await walk.out("real")))
        assert began - 2 <= await auth_time(walk) <= time.time()
        assert (await walk.browser.post("/account/identities/real")).status_code == 200


async def auth_time(walk: Walk) -> float:
    (session,) = (await walk.browser.get("/api/account/sessions")).json()
    return float(session["auth_time"])


async def another_browser(service: Running, there: There) -> Walk:
    """Signs in while the provider still knows who it is: it asks nothing."""
    walk = Walk(service.another_client())
    await walk.back(await there.until_back(await walk.out("real")))
    return walk
