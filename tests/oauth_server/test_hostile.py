"""Hostile clients and browsers: RFC 9700, and the published holes of other providers."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import ECKey

from app.oauth_server.client_config import BadClient, from_toml
from app.oauth_server.pkce import verifies
from app.oauth_server.tokens import TokenFormat
from app.settings import Settings
from app.store.keys import oauth_server as provider_keys
from tests.helpers.cast import PASSWORD, Cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.forms import Forms
from tests.helpers.service import Running, running
from tests.oauth_server.conftest import BACK, CHALLENGE, SECRET, VERIFIER, RelyingParty, answer

KEYS = {"keys": [ECKey.generate_key("P-256").as_dict(private=False)]}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"response_type": None}, "invalid_request"),
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"response_type": "code id_token"}, "unsupported_response_type"),
    ({"code_challenge": None}, "invalid_request"),
    ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    ({"code_challenge_method": "plain"}, "invalid_request"),
    ({"code_challenge_method": None}, "invalid_request"),
    ({"code_challenge": "short"}, "invalid_request"),
    ({"scope": "nothing"}, "invalid_scope"),
    ({"scope": None}, "invalid_scope"),
    ({"prompt": "none login"}, "invalid_request"),
    ({"prompt": "magic"}, "invalid_request"),
    ({"max_age": "-1"}, "invalid_request"),
    ({"max_age": "x"}, "invalid_request"),
    ({"response_mode": "fragment"}, "invalid_request"),
    ({"request": "e30."}, "request_not_supported"),
    ({"request_uri": "https://evil.example"}, "request_uri_not_supported"),
    ({"resource": "https://evil.example"}, "invalid_target"),
    ({"id_token_hint": "x"}, "invalid_request"),
    ({"nonce": "x" * 9000}, "invalid_request"),
    ({"nonce": ["a", "b"]}, "invalid_request"),
]


@pytest.fixture
async def app(service: Running, cast: Cast) -> RelyingParty:
    return RelyingParty(await signed_in(service, "bob"))


@pytest.mark.parametrize("changes", [{"client_id": "none"}, {"client_id": None}, {"client_id": ["app", "app"]}])
async def test_unknown_client_gets_a_page(app: RelyingParty, changes: dict[str, object]) -> None:
    assert (await app.authorize(**changes)).status_code == 400


async def test_wrong_parameter_goes_back_by_its_code(app: RelyingParty) -> None:
    for changes, code in WRONG:
        said = answer(await app.authorize(**changes))
        assert (said["error"], said["state"], said["iss"]) == (code, "s t&ate", "http://tallygate.test"), changes


async def test_reused_code_revokes_its_tokens(app: RelyingParty) -> None:
    code = await app.code()
    tokens = (await app.redeem(code)).json()
    assert (await app.redeem(code)).json()["error"] == "invalid_grant"
    assert (await app.userinfo(tokens["access_token"])).status_code == 401
    assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_reused_refresh_token_revokes_its_family(app: RelyingParty) -> None:
    first = await app.sign_in()
    second = (await app.refresh(first["refresh_token"])).json()
    form = {"token": first["refresh_token"]}
    await app.browser.post("/oauth2/revoke", data=form, auth=("other", SECRET))
    assert (await app.userinfo(second["access_token"])).status_code == 200
    await app.browser.post("/oauth2/revoke", data=form, auth=("app", SECRET))
    assert (await app.userinfo(second["access_token"])).status_code == 401
    assert (await app.refresh(second["refresh_token"])).json()["error"] == "invalid_grant"


async def test_token_issued_in_the_second_of_a_revocation_is_good(app: RelyingParty) -> None:
    tokens = await app.sign_in()
    await app.browser.post("/oauth2/revoke", data={"token": tokens["access_token"]}, auth=("app", SECRET))
    refreshed = (await app.refresh(tokens["refresh_token"])).json()
    assert (await app.userinfo(refreshed["access_token"])).status_code == 200
    assert (await app.userinfo(tokens["access_token"])).status_code == 401


async def test_expired_token_families_leave_the_users_index(
    service: Running, app: RelyingParty, cast: Cast, clock: Clock
) -> None:
    async def listed() -> int:
        return int(await service.state["store"].idempotent("ZCARD", provider_keys.families(cast.bob.id)))

    kept = (await app.sign_in(scope="openid offline_access"))["refresh_token"]
    await app.sign_in(scope="openid offline_access")
    clock.move(20 * 86_400)
    assert (await app.refresh(kept)).status_code == 200
    clock.move(20 * 86_400)
    app.browser = await signed_in(service, "bob")
    await app.sign_in()
    assert await listed() == 2


async def test_concurrent_exchanges_of_one_code_succeed_once(app: RelyingParty) -> None:
    code = await app.code()
    statuses = sorted(each.status_code for each in await asyncio.gather(app.redeem(code), app.redeem(code)))
    assert statuses in ([200, 400], [400, 400])


async def test_neither_another_client_nor_a_wrong_verifier_uses_a_code(app: RelyingParty) -> None:
    code = await app.code()
    other = RelyingParty(app.browser, "other")
    assert (await other.redeem(code)).json()["error"] == "invalid_grant"
    for wrong in ({"code_verifier": "w" * 43}, {"code_verifier": None}, {"redirect_uri": "https://evil.example/"}):
        assert (await app.redeem(code, **wrong)).json()["error"] == "invalid_grant"
    bad = await app.browser.post(
        "/oauth2/token", data={"grant_type": "authorization_code", "code": code}, auth=("app", "x")
    )
    assert (bad.status_code, bad.json()["error"]) == (401, "invalid_client")
    assert bad.headers["www-authenticate"].startswith("Basic")
    tokens = await app.redeem(code)
    assert tokens.status_code == 200
    assert (await other.refresh(tokens.json()["refresh_token"])).json()["error"] == "invalid_grant"


async def test_verifier_without_a_challenge_is_refused(app: RelyingParty) -> None:
    app.client = "old"
    code = await app.code(code_challenge=None, code_challenge_method=None)
    assert (await app.redeem(code, code_verifier=VERIFIER)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(("client", "scope"), [("old", "openid"), ("older", "profile")])
async def test_a_code_without_pkce_needs_its_redirect_uri(app: RelyingParty, client: str, scope: str) -> None:
    app.client = client
    code = await app.code(code_challenge=None, code_challenge_method=None, scope=scope)
    refused = await app.token(grant_type="authorization_code", code=code)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    assert "redirect_uri" in refused.json()["error_description"]
    assert (await app.token(grant_type="authorization_code", code=code, redirect_uri=BACK)).status_code == 200


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, "invalid_request"),
        ({"grant_type": "authorization_code", "code": "x" * 9000}, "invalid_request"),
        ({"grant_type": "authorization_code", "code": "tgc_x"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "é\u4f60"}, "invalid_grant"),
        ({"grant_type": ["refresh_token", "refresh_token"]}, "invalid_request"),
    ],
)
async def test_token_endpoint_names_the_mistake(app: RelyingParty, form: dict[str, object], code: str) -> None:
    response = await app.token(**form)
    assert response.json()["error"] == code
    assert response.status_code == 400
    assert response.headers["cache-control"] == "no-store"


async def test_parameters_of_the_query_and_other_types_are_refused(app: RelyingParty) -> None:
    query = await app.browser.post("/oauth2/token?grant_type=authorization_code", data={}, auth=("app", SECRET))
    json = await app.browser.post("/oauth2/token", json={}, auth=("app", SECRET))
    binary = await app.browser.post(
        "/oauth2/token", content=b"code=%ff", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert [each.json()["error"] for each in (query, json, binary)] == ["invalid_request"] * 3
    assert (await app.browser.get("/oauth2/userinfo?access_token=x")).status_code == 401


async def test_public_client_sends_no_secret_or_an_empty_one(app: RelyingParty) -> None:
    app.client, app.back = "spa", "http://127.0.0.1:4321/cb"
    form = {"grant_type": "authorization_code", "redirect_uri": app.back, "code_verifier": VERIFIER}
    code = await app.code()
    with_secret = await app.browser.post("/oauth2/token", data=form | {"code": code}, auth=("spa", "guess"))
    assert with_secret.status_code == 401
    empty = await app.browser.post("/oauth2/token", data=form | {"code": code}, auth=("spa", ""))
    assert empty.status_code == 200
    assert (await app.authorize(code_challenge=None, code_challenge_method=None)).status_code == 303


async def test_waiting_request_belongs_to_its_browser(service: Running, cast: Cast) -> None:
    stranger = await signed_in(service, "charlie")
    for request_id in ("", "x", "x" * 500, "é"):
        assert (await stranger.get("/oauth2/continue", params={"request": request_id})).status_code == 404
    cross = await stranger.post("/oauth2/consent", data={"request": "x"}, headers={"Origin": "https://evil.example"})
    assert cross.status_code == 403


async def test_disabled_user_has_no_tokens(service: Running, app: RelyingParty, cast: Cast) -> None:
    tokens = await app.sign_in(scope="openid offline_access")
    await service.state["accounts"].set_disabled(cast.bob.id, True)
    assert (await app.userinfo(tokens["access_token"])).status_code == 401
    assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_without_public_url_there_is_no_provider(make_settings: Callable[..., Settings]) -> None:
    async with running(make_settings()) as service:
        for path in ("/.well-known/openid-configuration", "/oauth2/authorize"):
            assert (await service.client.get(path)).status_code == 404


def test_tokens_are_signed() -> None:
    tokens, family = TokenFormat(["old", "key"]), "f" * 22
    code = tokens.code(family)
    assert tokens.read(code) is not None
    assert TokenFormat(["key", "new"]).read(code) == tokens.read(code)
    assert TokenFormat(["new"]).read(code) is None
    assert tokens.read(code.replace("tgc_", "tgr_")) is None
    assert tokens.read(code[:-1]) is None


def test_pkce_accepts_s256_only() -> None:
    assert verifies(VERIFIER, CHALLENGE)
    assert not verifies(CHALLENGE, CHALLENGE)


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ({"redirect_uris": [BACK]}, "secret"),
        ({"redirect_uris": [BACK], "secret": "short"}, "secret"),
        ({"redirect_uris": [BACK], "secret": SECRET, "colour": 1}, "colour"),
        ({"redirect_uris": BACK, "secret": SECRET}, "redirect_uris"),
        ({"redirect_uris": [BACK], "secret": SECRET, "scopes": ["all"]}, "scopes"),
        ({"redirect_uris": [BACK], "secret": SECRET, "id_token_alg": "none"}, "id_token_alg"),
        ({"redirect_uris": [BACK], "secret": SECRET, "public": True}, "public"),
        ({"redirect_uris": [BACK], "jwks": {"keys": [{"kty": "oct", "k": "A" * 43}]}}, "jwks"),
        ({"redirect_uris": [BACK], "jwks": KEYS, "secret": SECRET}, "secret"),
        ({"redirect_uris": [BACK], "secret": SECRET, "secrets": [SECRET]}, "secrets"),
        ({"secret": SECRET}, "redirect_uris"),
    ],
)
def test_wrong_client_is_refused_by_its_field(table: dict[str, object], field: str) -> None:
    with pytest.raises(BadClient) as refused:
        from_toml("app", table)
    assert refused.value.field == field


async def test_question_of_one_user_is_not_answered_by_another(service: Running, cast: Cast) -> None:
    app = RelyingParty(await signed_in(service, "bob"), "asks")
    questions = [await app.authorize(prompt=prompt) for prompt in ("consent", "select_account")]
    begun = await app.browser.post("/oauth2/device_authorization", data={"scope": "openid"}, auth=("tv", SECRET))
    questions.append(await app.browser.post("/device", data={"user_code": begun.json()["user_code"]}))
    questions.append(await app.browser.get("/oauth2/end-session"))
    forms = [
        form for page in questions for form in Forms(page.text).forms if form.action not in {"/language", "/sign-out"}
    ]
    assert len(forms) == 4
    credentials = {"username": "charlie", "password": PASSWORD}
    assert (await app.browser.post("/api/session", json=credentials)).status_code == 200
    for page in questions[:2]:  # the second user sees the same question in another tab
        request_id = page.text.split('name="request" value="')[1].partition('"')[0]
        assert "charlie" in (await app.browser.get("/oauth2/continue", params={"request": request_id})).text
    for form in forms:
        assert (await app.browser.post(form.action, data=form.fields | {"answer": "allow"})).status_code == 409
    assert (await app.browser.get("/api/account/grants")).json() == []
    assert (await app.browser.get("/api/session")).json()["user"]["name"] == "charlie"


async def test_form_that_goes_to_the_client_does_not_tell_the_users_id(app: RelyingParty, cast: Cast) -> None:
    page = await app.authorize(response_mode="form_post")
    assert cast.bob.id not in page.text
