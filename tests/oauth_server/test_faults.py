"""Redis away in the middle, and parameters of every kind: never a 500, nothing half-stored."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.settings import Settings
from app.store.client import StoreUnavailable
from tests.helpers.cast import Cast, make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running
from tests.oauth_server.conftest import BACK, CHALLENGE, SECRET, VERIFIER, RelyingParty, clients

NAMES = (
    "client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "prompt", "max_age",
    "code_challenge", "code_challenge_method", "id_token_hint", "request", "request_uri", "grant_type", "code",
    "code_verifier", "refresh_token", "device_code", "token", "client_secret", "client_assertion",
    "client_assertion_type", "post_logout_redirect_uri", "user_code", "username",
)  # fmt: skip
VALUES = (
    "app", BACK, "code", "openid", "none", "login", "S256", CHALLENGE, "authorization_code", "refresh_token", "-1",
    "urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:request_uri:x", "\ud7ff", "\x7f", "x" * 9000,
    "tgc_" + "a" * 22 + ".0." + "b" * 43, "a.b.c", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "{}",
)  # fmt: skip
PARAMETERS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES) | st.text(max_size=20), max_size=8)
TOKENS = ("access_token", "refresh_token", "id_token")
PUSHED = {
    "response_type": "code", "redirect_uri": BACK, "scope": "openid", "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}  # fmt: skip
ENDPOINTS = ("token", "introspect", "revoke", "par", "device_authorization", "userinfo")


@pytest.fixture
async def app(service: Running, cast: Cast) -> RelyingParty:
    return RelyingParty(await signed_in(service, "bob"))


@pytest.mark.slow
@settings(max_examples=40)
@given(parameters=PARAMETERS)
async def test_random_parameters_make_no_endpoint_fail(app: RelyingParty, parameters: dict[str, str]) -> None:
    for endpoint in ENDPOINTS:
        response = await app.browser.post(f"/oauth2/{endpoint}", data=parameters)
        assert response.status_code < 500, (endpoint, parameters, response.text)
        assert response.json()["error"] if response.content else response.status_code in (200, 401)
    for path in ("/oauth2/authorize", "/oauth2/end-session", "/oauth2/continue", "/device"):
        response = await app.browser.get(path, params=parameters)
        assert response.status_code < 500, (path, parameters)
        location = response.headers.get("location", "")
        assert location.startswith(("/", f"{BACK}?")) or not location


@pytest.mark.parametrize("step", ["redeem", "rotate", "family", "grant"])
async def test_outage_uses_up_no_code_or_token(
    service: Running, app: RelyingParty, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh_token = (await app.sign_in())["refresh_token"]
    code = await app.code()
    with monkeypatch.context() as away:

        async def unavailable(*_: Any, **__: Any) -> Any:
            raise StoreUnavailable("away", sent=False)

        away.setattr(service.state["oauth_server"].store, step, unavailable)
        asked = app.refresh(refresh_token) if step in {"rotate", "family"} else app.redeem(code)
        answer = await asked
        assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
        assert answer.headers["retry-after"]
    assert (await app.redeem(code)).status_code == 200
    assert (await app.refresh(refresh_token)).status_code == 200


@pytest.mark.parametrize("kind", ["pushed", "consent"])
async def test_outage_uses_up_no_waiting_request(
    service: Running, app: RelyingParty, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask() -> Any:
        if kind == "pushed":
            return await app.browser.get("/oauth2/authorize", params={"client_id": "app", "request_uri": uri})
        return await app.browser.post("/oauth2/consent", data={"request": waiting, "answer": "allow"})

    uri = (await app.browser.post("/oauth2/par", data=PUSHED, auth=("app", SECRET))).json()["request_uri"]
    app.client = "asks"
    (waiting,) = re.findall(r'name="request" value="([^"]+)"', (await app.authorize()).text)
    with monkeypatch.context() as away:

        async def unavailable(*_: Any, **__: Any) -> Any:
            raise StoreUnavailable("away", sent=False)

        away.setattr(service.state["oauth_server"].store, "begin", unavailable)
        assert (await ask()).status_code == 503
    done = await ask()
    assert "code=" in done.headers.get("location", done.text)
    assert (await ask()).status_code in {400, 404}


@pytest.mark.parametrize(
    ("part", "step", "endpoint", "form"),
    [
        ("store", "end", "revoke", {"token": "refresh_token"}),
        ("store", "revoke_access", "revoke", {"token": "access_token"}),
        ("store", "push", "par", PUSHED),
        ("devices", "begin", "device_authorization", {"scope": "openid"}),
    ],
)
async def test_outage_is_no_success(
    service: Running, app: RelyingParty, part: str, step: str, endpoint: str, form: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A revocation that did not happen must not be answered 200 (fosite, GHSA-7mqr)."""

    async def ask() -> Any:
        return await app.browser.post(f"/oauth2/{endpoint}", data=sent, auth=("both", SECRET))

    app.client = "both"
    tokens = await app.sign_in()
    sent = {name: tokens.get(value, value) for name, value in form.items()}
    with monkeypatch.context() as away:

        async def unavailable(*_: Any, **__: Any) -> Any:
            raise StoreUnavailable("away", sent=False)

        away.setattr(getattr(service.state["oauth_server"], part), step, unavailable)
        answer = await ask()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert (await app.userinfo(tokens["access_token"])).status_code == 200
    assert (await ask()).status_code in (200, 201)
    assert (await app.userinfo(tokens["access_token"])).status_code == (401 if endpoint == "revoke" else 200)


async def test_no_secret_is_logged(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    log, tables = tmp_path / "service.log", clients()
    settings_ = make_settings(public_url="http://tallygate.test", clients=tables, log_file=log, log_level="debug")
    async with running(settings_) as service:
        await make_cast(service)
        app = RelyingParty(await signed_in(service, "bob"), "both")
        code = await app.code()
        tokens = (await app.redeem(code)).json()
        refreshed = (await app.refresh(tokens["refresh_token"])).json()
        pushed = (await app.browser.post("/oauth2/par", data=PUSHED, auth=("both", SECRET))).json()
        begun = await app.browser.post("/oauth2/device_authorization", data={"scope": "openid"}, auth=("both", SECRET))
        device = begun.json()
        await app.browser.post("/device", data={"user_code": device["user_code"], "answer": "allow"})
        await app.redeem("x", client_secret=SECRET)
        await app.userinfo(refreshed["access_token"])
        await app.browser.get("/oauth2/end-session", params={"id_token_hint": tokens["id_token"]})
    written = log.read_text("utf-8")
    assert "/oauth2/token" in written
    for secret in (
        SECRET, VERIFIER, code, *(each[name] for each in (tokens, refreshed) for name in TOKENS),
        pushed["request_uri"], device["device_code"], device["user_code"], "s t&ate", "bob",
    ):  # fmt: skip
        assert secret not in written


async def test_lost_answer_is_asked_for_again_within_the_grace(app: RelyingParty, clock: Clock) -> None:
    tokens = await app.sign_in()
    lost = (await app.refresh(tokens["refresh_token"])).json()
    clock.move(9)
    again = (await app.refresh(tokens["refresh_token"])).json()
    assert again["refresh_token"] == lost["refresh_token"]


async def test_pages_on_the_way_to_a_service_keep_the_opener_of_a_popup(
    make_settings: Callable[..., Settings],
) -> None:
    async with running(make_settings(registration="open", public_url="http://tallygate.test")) as service:
        for path in (
            "/sign-in", "/sign-up", "/sign-in/second-factor", "/confirm", "/account/security", "/account/passkeys/new",
            "/oauth/corp/start", "/oauth2/authorize", "/oauth2/continue", "/oauth2/end-session", "/forgot-password",
        ):  # fmt: skip
            response = await service.client.get(path)
            assert response.headers["cross-origin-opener-policy"] == "unsafe-none", path
        switched = await service.client.post("/language", data={"locale": "zh", "next": "/sign-in"})
        assert switched.headers["cross-origin-opener-policy"] == "unsafe-none"  # browsers look at redirects, too
        assert (await service.client.get("/")).headers["cross-origin-opener-policy"] == "same-origin"
