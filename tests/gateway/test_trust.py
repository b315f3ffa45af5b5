"""Whom a protected host may trust: verified addresses, signed identities, present keys, second factors."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from app.settings import Settings
from tests.gateway.conftest import FILES, PORTAL, RULES, WIKI, Browser
from tests.helpers.cast import Cast, make_cast
from tests.helpers.service import Running, running

CORP: dict[str, Any] = {"hosts": [WIKI], "paths": ["/corp"], "allow": {"domains": ["corp.example"]}}
FIRST, SECOND = "the 1st key of thirty-two characters", "the 2nd key of thirty-two characters"


@pytest.fixture
def configured(make_settings: Callable[..., Settings]) -> Callable[..., Settings]:
    """Settings with a rule for a domain of addresses."""

    def make(**changes: Any) -> Settings:
        return make_settings(public_url=PORTAL, rules=(CORP, *RULES), trusted_proxies=("192.0.2.10",), **changes)

    return make


@pytest.fixture
def gateway_settings(configured: Callable[..., Settings]) -> Settings:
    return configured()


async def test_only_a_verified_address_is_sent_and_believed(browser: Browser, service: Running, cast: Cast) -> None:
    await browser.sign_in("bob")
    await browser.enter()
    for verified, status, sent in ((False, 403, ""), (True, 200, "bob@corp.example"), (False, 403, "")):
        await service.state["users"].set_email(cast.bob.id, "bob@corp.example", verified=verified)
        assert (await browser.verify("/corp")).status_code == status
        assert (await browser.verify("/")).headers["remote-email"] == sent


async def test_identity_token_verifies_by_the_published_keys_and_names_its_host(browser: Browser, cast: Cast) -> None:
    await browser.sign_in("bob")
    for host in (WIKI, FILES):
        await browser.enter(host)
        token = (await browser.verify("/", host)).headers["x-tallygate-identity"]
        keys = KeySet.import_key_set((await browser.portal.get("/.well-known/jwks.json")).json())
        claims = jwt.decode(token, keys, algorithms=["ES256"]).claims
        assert (claims["iss"], claims["aud"], claims["sub"]) == (PORTAL, host, cast.bob.id)
        assert claims["exp"] - claims["iat"] == 300


async def test_host_cookie_is_good_as_long_as_its_key_verifies(configured: Callable[..., Settings]) -> None:
    answers = []
    async with AsyncExitStack() as stack:
        before = await stack.enter_async_context(running(configured(secret_key=FIRST)))
        await make_cast(before)
        browser = Browser(before)
        await browser.sign_in("bob")
        await browser.enter()
        for keys in ({"secret_key": SECOND, "old_secret_keys": (FIRST,)}, {"secret_key": SECOND}):
            later = Browser(await stack.enter_async_context(running(configured(**keys))))
            later.at(WIKI).cookies = browser.at(WIKI).cookies
            answers.append((await later.verify()).status_code)
    assert answers == [200, 302]


async def test_user_who_has_to_set_up_a_second_factor_first_passes_nowhere(
    configured: Callable[..., Settings],
) -> None:
    async with running(configured()) as before, running(configured(second_factor="everybody")) as after:
        cast = await make_cast(before)
        secret, _ = await before.state["tokens"].create(cast.bob.id, "git")
        browser, later = Browser(before), Browser(after)
        await browser.sign_in("bob")
        await browser.enter()
        later.at(WIKI).cookies = browser.at(WIKI).cookies
        for headers, allowed, refused in (({}, 200, 302), ({"Authorization": f"Bearer {secret}"}, 200, 401)):
            assert (await browser.verify(**headers)).status_code == allowed
            assert (await later.verify(**headers)).status_code == refused
