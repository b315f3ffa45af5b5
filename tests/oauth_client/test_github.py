"""Signing in with GitHub."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.responses import JSONResponse

from dev.serving import served
from tests.fakes.github import PRIMARY, FakeGitHub
from tests.fakes.noted import GONE
from tests.helpers.clock import Clock
from tests.helpers.oauth_flow import OAuthFlow


@pytest.fixture(scope="module")
def served_hub() -> Iterator[tuple[FakeGitHub, str]]:
    hub = FakeGitHub()
    with served(hub.app()) as address:
        yield hub, address


@pytest.fixture
def hub(served_hub: tuple[FakeGitHub, str]) -> FakeGitHub:
    served_hub[0].__dict__.update(FakeGitHub().__dict__)
    return served_hub[0]


@pytest.fixture
def tables(hub: FakeGitHub, served_hub: tuple[FakeGitHub, str]) -> dict[str, dict[str, Any]]:
    table = {
        "type": "github",
        "client_id": "hub id",
        "client_secret": "hub secret",
        "base_url": served_hub[1],
        "api_url": f"{served_hub[1]}/api/",
        "allow": {"domains": ["corp.example"]},
        "refresh": True,
    }
    return {"hub": table}


async def test_github_user_signs_in(flow: OAuthFlow, hub: FakeGitHub) -> None:
    assert (await flow.sign_in("hub", next="/account")).headers["location"] == "/account"
    user = await flow.user()
    assert user is not None
    assert user["name"] == "octocat"
    assert "Sign in with GitHub" in (await flow.browser.get("/sign-in?again=1")).text
    assert hub.count("/api/user") == hub.count("/api/user/emails") == 1


async def test_github_user_is_found_by_id_not_login(flow: OAuthFlow, hub: FakeGitHub) -> None:
    await flow.sign_in("hub")
    first = await flow.user()
    hub.user["login"] = "renamed"
    await flow.sign_in("hub")
    assert await flow.user() == first
    hub.user = {"id": 2, "login": "octocat"}
    await flow.sign_in("hub")
    assert await flow.user() != first


NO_ADDRESS: dict[str, list[Any]] = {
    "none": [],
    "not verified": [{**PRIMARY, "verified": False}],
    "verified, but not the primary one": [{**PRIMARY, "primary": False}],
    "two primary ones": [PRIMARY, {**PRIMARY, "email": "evil@corp.example"}],
    "nonsense": [5, None, {}],
    "a number": [{**PRIMARY, "email": 5}],
}


@pytest.mark.parametrize("emails", NO_ADDRESS)
async def test_unverified_or_hidden_address_does_not_count(
    emails: str, flow: OAuthFlow, hub: FakeGitHub, users: Callable[[], int]
) -> None:
    hub.emails = NO_ADDRESS[emails]
    assert (await flow.sign_in("hub")).status_code == 403
    assert users() == 0


@pytest.mark.parametrize(
    "answer", [JSONResponse({"message": "Not Found"}, 404), JSONResponse({"x": 1}), JSONResponse(5)]
)
async def test_addresses_without_permission_do_not_count(
    answer: JSONResponse, flow: OAuthFlow, hub: FakeGitHub
) -> None:
    hub.instead["/api/user/emails"] = lambda: answer
    assert (await flow.sign_in("hub")).status_code == 403


BAD: dict[str, tuple[Callable[[FakeGitHub], object], int]] = {
    "a used code": (lambda hub: hub.codes.clear(), 400),
    "a wrong secret": (lambda hub: hub.tokens.update(error="incorrect_client_credentials", access_token=GONE), 502),
    "no token": (lambda hub: hub.tokens.update(access_token=GONE), 502),
    "an error that is a list": (lambda hub: hub.tokens.update(access_token=GONE, error=["x"]), 502),
    "another token type": (lambda hub: hub.tokens.update(token_type="mac"), 502),
    "no id": (lambda hub: hub.user.update(id=GONE), 502),
    "an id that is a text": (lambda hub: hub.user.update(id="583231"), 502),
    "an id that is true": (lambda hub: hub.user.update(id=True), 502),
    "no user": (lambda hub: hub.instead.update({"/api/user": lambda: JSONResponse({"id": 1}, 401)}), 502),
}


@pytest.mark.parametrize("bad", BAD)
async def test_bad_provider_response_is_refused(
    bad: str, flow: OAuthFlow, hub: FakeGitHub, users: Callable[[], int]
) -> None:
    callback = await flow.authorize(await flow.start("hub"))
    BAD[bad][0](hub)
    answer = await flow.callback(callback)
    assert answer.status_code == BAD[bad][1]
    assert 'role="alert"' in answer.text
    assert users() == 0


async def test_iss_of_another_provider_is_refused(flow: OAuthFlow, hub: FakeGitHub) -> None:
    callback = await flow.authorize(await flow.start("hub"))
    assert (await flow.callback(f"{callback}&iss=https://evil.example")).status_code == 400
    assert hub.count("/login/oauth/access_token") == 0


async def test_app_with_expiring_tokens_is_refreshed(flow: OAuthFlow, hub: FakeGitHub, clock: Clock) -> None:
    hub.tokens = {"refresh_token": "ghr_1", "expires_in": 28_800, "refresh_token_expires_in": 15_811_200}
    await flow.sign_in("hub")
    clock.move(28_800)
    assert await flow.user() is not None
    assert hub.count("/login/oauth/access_token") == 2
    clock.move(28_800)
    hub.tokens = {"refresh_token": "ghr_2"}
    assert await flow.user() is None


async def test_app_with_permanent_tokens_is_not_refreshed(flow: OAuthFlow, hub: FakeGitHub, clock: Clock) -> None:
    await flow.sign_in("hub")
    clock.move(100_000)
    assert await flow.user() is not None
    assert hub.count("/login/oauth/access_token") == 1
