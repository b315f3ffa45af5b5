"""Signing in with an OpenID provider: the way there and back."""

from secrets import token_urlsafe
from urllib.parse import parse_qsl, urlsplit

import pytest

from app.store.rate_limit import Rule
from tests.accounts.pages.reading import value_of
from tests.fakes.noted import GONE
from tests.fakes.openid import CLIENT_ID, FakeOpenId
from tests.helpers.oauth_flow import OAuthFlow
from tests.helpers.service import Running


def query_of(address: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(address).query))


async def test_the_sign_in_page_has_a_button_for_each_provider(flow: OAuthFlow) -> None:
    page = await flow.browser.get("/sign-in?next=/account")
    assert 'href="/oauth/corp/start?next=/account"' in page.text
    assert "Sign in with Corp" in page.text


async def test_first_sign_in_creates_an_account_and_returns_to_the_page(flow: OAuthFlow, provider: FakeOpenId) -> None:
    provider.user |= {"preferred_username": "alice"}
    answer = await flow.sign_in(next="/account/devices")
    assert (answer.status_code, answer.headers["location"]) == (303, "/account/devices")
    user = await flow.user()
    assert user is not None
    assert user["name"] == "alice"
    page = await flow.browser.get("/account")
    assert page.status_code == 200


async def test_authorization_request_has_pkce_state_and_nonce(flow: OAuthFlow, provider: FakeOpenId) -> None:
    first, second = query_of(await flow.start()), query_of(await flow.start())
    assert first["client_id"] == CLIENT_ID
    assert first["redirect_uri"] == "http://tallygate.test/oauth/corp/callback"
    assert first["scope"] == "openid profile email"
    assert first["code_challenge_method"] == "S256"
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) >= 32
        assert first[name] != second[name]


async def test_language_of_the_account_follows_to_the_next_device(flow: OAuthFlow, service: Running) -> None:
    await flow.sign_in()
    await flow.browser.post("/account", data={"locale": "zh"})
    phone = OAuthFlow(service.another_client(headers={"Accept": "text/html"}))
    assert '<html lang="en"' in (await phone.browser.get("/sign-in")).text
    await phone.sign_in()
    assert '<html lang="zh"' in (await phone.browser.get("/account")).text
    await phone.browser.post("/sign-out")
    assert '<html lang="zh"' in (await phone.browser.get("/sign-in")).text


@pytest.mark.parametrize("length", [512, 513, 3000, 8192])
async def test_a_long_next_comes_back_byte_for_byte_in_both_tabs(
    length: int, flow: OAuthFlow, provider: FakeOpenId
) -> None:
    first, second = (f"/account?{token_urlsafe(length)}"[:length] for _ in range(2))  # random: it does not compress
    begun = [await flow.start(next=first), await flow.start(next=second)]
    provider.callback = {"error": "access_denied", "code": GONE}
    assert value_of(await flow.callback(await flow.authorize(begun[0])), "next") == first
    provider.callback = {}
    assert (await flow.callback(await flow.authorize(begun[1]))).headers["location"] == second


async def test_long_nexts_are_limited_because_redis_keeps_them(flow: OAuthFlow, service: Running) -> None:
    service.state["rate_limiter"].changed = {"elsewhere": Rule("elsewhere", 1, 300)}
    long = {"next": "/account?" + "x" * 600}
    await flow.start(**long)
    for answer in (
        await flow.browser.get("/oauth/corp/start", params=long),
        await flow.browser.post("/api/oauth/corp/start", json=long),
    ):
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
    await flow.start(next="/account")
