"""Signing in afresh by a provider: it is not enough that the browser is still signed in there."""

from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

import pytest

from app.settings import Settings
from tests.fakes.noted import GONE
from tests.fakes.openid import FakeOpenId
from tests.helpers.clock import Clock
from tests.helpers.oauth_flow import OAuthFlow, identity_ids, link
from tests.helpers.service import Running, running


@pytest.fixture
async def stale(flow: OAuthFlow, clock: Clock) -> OAuthFlow:
    """A browser in which somebody has signed in by the provider, and was left open."""
    assert "max_age" not in await flow.start()
    await flow.sign_in()
    clock.move(3600)
    answer = await flow.browser.post("/account/identities/corp")
    assert answer.status_code == 401
    return flow


async def test_stale_session_sends_max_age(stale: OAuthFlow) -> None:
    assert dict(parse_qsl(urlsplit(await stale.start()).query))["max_age"] == "600"


@pytest.mark.parametrize(("seconds", "fresh"), [(3600, False), (661, False), (600, True), (0, True), (None, True)])
async def test_auth_time_older_than_max_age_is_refused(
    stale: OAuthFlow, provider: FakeOpenId, clock: Clock, seconds: int | None, fresh: bool
) -> None:
    """One that says nothing is believed: not all do."""
    provider.claims["auth_time"] = GONE if seconds is None else int(clock()) - seconds
    answer = await stale.sign_in()
    assert answer.status_code == 303
    if not fresh:  # it has ignored max_age, so it is told to ask
        asked = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
        assert (asked["prompt"], asked["max_age"]) == ("login", "600")
        answer = await stale.callback(await stale.authorize(answer.headers["location"]))
        assert answer.status_code == 502
        assert "did not ask you to sign in again" in answer.text
    provider.user, provider.claims = {"sub": "somebody who has found the browser open"}, {}
    if fresh:
        await link(stale)
    else:
        assert (await stale.browser.post("/account/identities/corp")).status_code == 401
    assert len(await identity_ids(stale)) == 1 + fresh


async def test_first_sign_in_accepts_any_auth_time(flow: OAuthFlow, provider: FakeOpenId, clock: Clock) -> None:
    provider.claims["auth_time"] = int(clock()) - 86_400
    assert (await flow.sign_in()).status_code == 303


async def test_prompt_login_is_sent_when_max_age_is_ignored(
    stale: OAuthFlow, provider: FakeOpenId, clock: Clock
) -> None:
    provider.claims["auth_time"] = int(clock()) - 3600
    second = (await stale.sign_in(next="/account")).headers["location"]
    provider.claims["auth_time"] = int(clock())
    answer = await stale.callback(await stale.authorize(second))
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    provider.user, provider.claims = {"sub": "another identity"}, {}
    await link(stale)
    assert len(await identity_ids(stale)) == 2


@pytest.mark.parametrize("auth_time", [650, 86_400, None], ids=str)
async def test_old_auth_time_starts_a_session_that_is_not_fresh(
    auth_time: int | None, flow: OAuthFlow, provider: FakeOpenId, clock: Clock
) -> None:
    """Signing out here and in again by a provider that still knows the user proves nothing."""
    await flow.sign_in()
    clock.move(650)
    await flow.browser.post("/sign-out")
    provider.claims["auth_time"] = GONE if auth_time is None else int(clock()) - auth_time
    assert (await flow.sign_in()).status_code == 303
    for path in ("/account/identities/corp", "/account/password"):
        answer = await flow.browser.post(path, data={"password": "correct horse battery", "again": "x"})
        assert answer.status_code == 401, (path, answer.text)


async def test_auth_time_decides_how_fresh_a_new_session_is(
    flow: OAuthFlow, provider: FakeOpenId, clock: Clock
) -> None:
    provider.claims["auth_time"] = int(clock()) - 500
    await flow.sign_in()
    assert (await flow.browser.post("/account/identities/corp")).status_code == 200
    clock.move(101)
    assert (await flow.browser.post("/account/identities/corp")).status_code == 401


@pytest.mark.parametrize("auth_time", ["now", True, -1, 1e300, {}, 10**12])
async def test_malformed_auth_time_proves_nothing(auth_time: object, flow: OAuthFlow, provider: FakeOpenId) -> None:
    provider.claims["auth_time"] = auth_time
    await flow.sign_in()
    assert (await flow.browser.post("/account/identities/corp")).status_code == 401


async def test_repeated_callback_does_not_reauthenticate(
    flow: OAuthFlow, provider: FakeOpenId, service: Running, clock: Clock
) -> None:
    provider.claims["auth_time"] = int(clock()) - 3600
    callback = await flow.authorize(await flow.start())
    again = OAuthFlow(service.another_client(cookies=dict(flow.browser.cookies), headers={"Accept": "text/html"}))
    await flow.callback(callback)
    assert (await again.callback(callback)).status_code == 303
    assert (await again.browser.post("/account/identities/corp")).status_code == 401


@pytest.mark.parametrize(("assumed", "offered"), [(False, False), (True, True)])
async def test_provider_without_reauthentication_is_not_offered(
    assumed: bool, offered: bool, make_settings: Callable[..., Settings]
) -> None:
    client = {"client_id": "x", "client_secret": "y", "assume_fresh": assumed}
    types = ("github", "discord", "google", "linkedin")
    async with running(make_settings(oauth={name: {"type": name} | client for name in types})) as service:
        options = service.state["sign_in_options"]
        assert {option.name: option.reauthenticates for option in options} == dict.fromkeys(types, offered)
