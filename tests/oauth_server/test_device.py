"""Programs without a browser sign in with a code (RFC 8628)."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.helpers.cast import Cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running
from tests.oauth_server.conftest import SECRET, RelyingParty

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
async def app(service: Running, cast: Cast) -> RelyingParty:
    return RelyingParty(await signed_in(service, "bob"), "tv")


async def begin(app: RelyingParty, **changes: Any) -> dict[str, Any]:
    response = await app.browser.post(
        "/oauth2/device_authorization", data={"scope": "openid profile"} | changes, auth=("tv", SECRET)
    )
    assert response.status_code == 200, response.text
    return dict(response.json())


async def poll(app: RelyingParty, begun: dict[str, Any]) -> httpx.Response:
    return await app.token(grant_type=GRANT, device_code=begun["device_code"])


async def test_device_signs_in_when_the_user_allows_it(app: RelyingParty, clock: Clock) -> None:
    begun = await begin(app)
    assert begun["verification_uri_complete"] == f"http://tallygate.test/device?user_code={begun['user_code']}"
    assert (await poll(app, begun)).json()["error"] == "authorization_pending"
    assert (await poll(app, begun)).json()["error"] == "slow_down"
    clock.move(6)
    assert (await poll(app, begun)).json()["error"] == "slow_down"  # ten seconds from now on
    form = await app.browser.get("/device", params={"user_code": begun["user_code"]})
    assert f'value="{begun["user_code"]}"' in form.text
    code = {"user_code": begun["user_code"].lower().replace("-", " ")}
    question = await app.browser.post("/device", data=code)
    assert "Television" in question.text
    assert "See your name and language" in question.text
    assert (await app.browser.post("/device", data=code | {"answer": "allow"})).status_code == 200
    answers = await asyncio.gather(poll(app, begun), poll(app, begun))
    assert sorted(each.status_code for each in answers) == [200, 400]
    (tokens,) = (each.json() for each in answers if each.status_code == 200)
    assert (await app.userinfo(tokens["access_token"])).json()["preferred_username"] == "bob"
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200
    assert (await app.browser.post("/device", data=code | {"answer": "allow"})).status_code == 400
    (grant,) = (await app.browser.get("/api/account/grants")).json()
    assert grant["id"] == "tv"
    await app.browser.delete("/api/session")
    assert (await app.userinfo(tokens["access_token"])).status_code == 401


async def test_device_code_is_denied_or_expired(app: RelyingParty, clock: Clock, service: Running) -> None:
    begun = await begin(app)
    await app.browser.post("/device", data={"user_code": begun["user_code"], "answer": "deny"})
    assert (await poll(app, begun)).json()["error"] == "access_denied"
    assert (await app.token(grant_type=GRANT, device_code="x" * 43)).json()["error"] == "expired_token"
    assert (await app.token(grant_type=GRANT, device_code="no code")).json()["error"] == "invalid_grant"
    assert (await app.token(grant_type=GRANT)).json()["error"] == "invalid_request"


async def test_device_code_is_polled_by_its_own_client_only(app: RelyingParty) -> None:
    begun = await begin(app)
    other = RelyingParty(app.browser, "app")
    assert (await poll(other, begun)).json()["error"] == "unauthorized_client"
    refused = await app.browser.post("/oauth2/device_authorization", data={"scope": "openid"}, auth=("app", SECRET))
    assert refused.json()["error"] == "unauthorized_client"
    bad = await app.browser.post("/oauth2/device_authorization", data={"scope": "x"}, auth=("tv", SECRET))
    assert bad.json()["error"] == "invalid_scope"
    assert (await poll(RelyingParty(app.browser, "tv2"), begun)).json()["error"] == "invalid_grant"


async def test_guesses_are_limited_and_a_form_of_another_site_is_refused(app: RelyingParty, service: Running) -> None:
    begun = await begin(app)
    answer = {"user_code": begun["user_code"], "answer": "allow"}
    foreign = await app.browser.post("/device", data=answer, headers={"Origin": "https://evil.test"})
    assert foreign.status_code == 403
    for _ in range(10):
        assert (await app.browser.post("/device", data={"user_code": "BBBB-BBBB"})).status_code == 400
    assert (await app.browser.post("/device", data=answer)).status_code == 429
    stranger = service.another_client()
    assert (await stranger.get("/device")).headers["location"].startswith("/sign-in")
    assert (await poll(app, begun)).json()["error"] == "authorization_pending"
