"""A second factor after a sign-in at a provider, where an administrator requires one; "Stay signed in"."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pyotp
import pytest

from app.accounts.users.identities import Identity
from app.settings import Settings
from tests.accounts.pages.reading import error_at
from tests.fakes.openid import FakeOpenId
from tests.helpers.cast import Cast, make_cast
from tests.helpers.clock import Clock
from tests.helpers.oauth_flow import OAuthFlow
from tests.helpers.service import Running, running

STEP = "/sign-in/second-factor"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@pytest.fixture
async def service(
    make_settings: Callable[..., Settings], tables: dict[str, dict[str, Any]], clock: Clock
) -> AsyncIterator[Running]:
    async with running(make_settings(oauth=tables, second_factor="everybody"), clock) as service:
        yield service


@pytest.fixture
async def bob(service: Running, provider: FakeOpenId) -> Cast:
    """Bob has an account at the provider, and an authenticator app here."""
    cast = await make_cast(service)
    await service.state["identities"].link(cast.bob.id, Identity(provider.issuer, "bob", "corp"))
    await service.state["second_factors"].set_totp(cast.bob.id, SECRET, 1)
    provider.user = {"sub": "bob"}
    return cast


@pytest.fixture
def flow(service: Running) -> OAuthFlow:
    return OAuthFlow(service.another_client())


async def send(flow: OAuthFlow, clock: Clock, wrong: bool = False) -> httpx.Response:
    code = pyotp.TOTP(SECRET).at(int(clock()))
    data = {"code": f"{(int(code) + wrong) % 1_000_000:06}", "next": "/account"}
    return await flow.browser.post(STEP, data=data)


async def test_the_provider_is_the_first_step_only(service: Running, flow: OAuthFlow, bob: Cast, clock: Clock) -> None:
    answer = await flow.sign_in(next="/account")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{STEP}?next=%2Faccount")
    assert await flow.user() is None
    assert await service.state["sessions"].of_user(bob.bob.id) == []
    page = await flow.browser.get(answer.headers["location"])
    assert "The first step is done." in page.text
    wrong = await send(flow, clock, wrong=True)
    assert (wrong.status_code, error_at(wrong, "code")) == (401, "The code is wrong or has been used.")
    assert (await send(flow, clock)).headers["location"] == "/account"
    (session,) = await service.state["sessions"].of_user(bob.bob.id)
    assert (session.auth_method, session.amr, session.brief) == ("corp", ("otp", "mfa"), False)
    assert await service.state["provider_sessions"].provider_session(session) is not None
    clock.move(60)
    assert (await send(flow, clock)).headers["location"] == "/sign-in?next=%2Faccount"  # a first step is good once


async def test_a_front_end_is_told_where_to_go_on(flow: OAuthFlow, bob: Cast) -> None:
    callback = await flow.authorize(await flow.start(next="/account"))
    answer = await flow.callback(callback, headers={"Accept": "application/json"})
    assert answer.json() == {"next": f"{STEP}?next=%2Faccount"}
    assert "Sign in" in (await flow.browser.get(answer.json()["next"])).text


async def test_identity_unlinked_meanwhile_does_not_sign_in(
    service: Running, flow: OAuthFlow, bob: Cast, provider: FakeOpenId, clock: Clock
) -> None:
    await flow.sign_in()
    identity = Identity(provider.issuer, "bob", "corp")
    assert await service.state["identities"].unlink(bob.bob.id, identity.id, ())
    assert (await send(flow, clock)).status_code == 403
    assert await flow.user() is None


async def test_a_new_password_ends_the_waiting(service: Running, flow: OAuthFlow, bob: Cast, clock: Clock) -> None:
    await flow.sign_in()
    await service.state["accounts"].set_password(bob.bob.id, "another hash")
    assert (await send(flow, clock)).headers["location"].startswith("/sign-in?")
    assert await flow.user() is None


async def test_confirming_at_the_provider_takes_both_steps_too(
    service: Running, flow: OAuthFlow, bob: Cast, clock: Clock
) -> None:
    await flow.sign_in()
    await send(flow, clock)
    clock.move(3600)
    assert (await flow.browser.post("/account/identities/corp")).status_code == 401
    await flow.sign_in()
    assert (await flow.browser.post("/account/identities/corp")).status_code == 401
    await send(flow, clock)
    assert (await flow.browser.post("/account/identities/corp")).status_code == 200


async def test_where_it_is_optional_the_provider_is_enough(
    make_settings: Callable[..., Settings], tables: dict[str, dict[str, Any]], bob: Cast, clock: Clock
) -> None:
    async with running(make_settings(oauth=tables), clock) as service:
        flow = OAuthFlow(service.another_client())
        await flow.sign_in()
        assert await flow.user() is not None


@pytest.mark.parametrize(("query", "stays"), [({}, True), ({"stay": "off"}, False)])
async def test_the_cookie_ends_with_the_browser_unless_the_user_stays_signed_in(
    make_settings: Callable[..., Settings],
    tables: dict[str, dict[str, Any]],
    query: dict[str, str],
    stays: bool,
) -> None:
    async with running(make_settings(oauth=tables)) as service:
        flow = OAuthFlow(service.another_client())
        page = await flow.browser.get("/sign-in")
        assert [f"/oauth/corp/start?next=/{more}" in page.text for more in ('"', '&amp;stay=off"')] == [True, True]
        answer = await flow.sign_in(**query)
        (cookie,) = [line for line in answer.headers.get_list("set-cookie") if line.startswith("tallygate=")]
        assert ("Max-Age" in cookie) is stays
