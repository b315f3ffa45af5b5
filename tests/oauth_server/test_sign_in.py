"""Signing in to a service, from the request to its tokens and their end."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.helpers.cast import PASSWORD, Cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running
from tests.oauth_server.conftest import BACK, SECRET, RelyingParty, answer


@pytest.fixture
async def app(service: Running, cast: Cast) -> RelyingParty:
    return RelyingParty(await signed_in(service, "bob"))


async def claims_of(service: Running, token: str, alg: str = "ES256") -> dict[str, Any]:
    keys = (await service.client.get("/oauth2/jwks.json")).json()
    return dict(jwt.decode(token, KeySet.import_key_set(keys), algorithms=[alg]).claims)


async def test_discovery_names_the_endpoints_of_public_url(service: Running) -> None:
    for path in ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"):
        response = await service.client.get(path, headers={"Host": "elsewhere.test"})
        document = response.json()
        assert document["issuer"] == "http://tallygate.test"
        assert document["token_endpoint"] == "http://tallygate.test/oauth2/token"
        assert document["request_uri_parameter_supported"] is False
        assert response.headers["access-control-allow-origin"] == "*"
    assert (await service.client.options("/oauth2/token")).status_code == 204


async def test_gateways_address_of_the_keys_has_the_same_keys(service: Running) -> None:
    keys = (await service.client.get("/.well-known/jwks.json")).json()
    assert {key["alg"] for key in keys["keys"]} == {"ES256", "RS256"}
    assert keys == (await service.client.get("/oauth2/jwks.json")).json()


async def test_sign_in_gives_tokens(service: Running, app: RelyingParty, cast: Cast, clock: Clock) -> None:
    response = await app.authorize()
    given = answer(response)
    assert response.headers["location"].startswith(f"{BACK}?")
    assert given["state"] == "s t&ate"
    assert given["iss"] == "http://tallygate.test"
    tokens = (await app.redeem(given["code"])).json()
    claims = await claims_of(service, tokens["id_token"])
    assert claims["sub"] == cast.bob.id
    assert (claims["aud"], claims["nonce"], claims["preferred_username"]) == ("app", "n", "bob")
    assert claims["auth_time"] == int(clock())
    assert claims["amr"] == ["pwd"]
    userinfo = await app.userinfo(tokens["access_token"])
    assert userinfo.json()["sub"] == cast.bob.id


async def test_rs256_for_a_client_that_says_so_without_pkce(service: Running, app: RelyingParty) -> None:
    app.client = "old"
    code = await app.code(code_challenge=None, code_challenge_method=None)
    tokens = (await app.redeem(code, code_verifier=None)).json()
    assert (await claims_of(service, tokens["id_token"], "RS256"))["aud"] == "old"


async def test_visitor_signs_in_first(service: Running, cast: Cast) -> None:
    app = RelyingParty(service.another_client())
    response = await app.authorize()
    assert response.headers["location"].startswith("/sign-in?next=%2Foauth2%2Fcontinue%3Frequest%3D")
    going_on = next_of(response.headers["location"])
    sign_in = await app.browser.get(response.headers["location"])
    assert sign_in.headers["cross-origin-opener-policy"] == "unsafe-none"
    await app.browser.post("/api/session", json={"username": "bob", "password": "paper lantern over the river"})
    page = await app.browser.get(going_on)
    assert page.status_code == 200
    assert f"{BACK}?code=" in page.text
    assert page.headers["cross-origin-opener-policy"] == "unsafe-none"
    stranger = await signed_in(service, "charlie")
    assert (await stranger.get(going_on)).status_code == 404


async def test_login_hint_and_ui_locales_reach_the_pages(app: RelyingParty, service: Running) -> None:
    hints = {"login_hint": 'bob"<b>', "ui_locales": "fr zh-CN en"}
    visitor = RelyingParty(service.another_client())
    page = await visitor.browser.get((await visitor.authorize(**hints)).headers["location"])
    assert 'value="bob&#34;&lt;b&gt;"' in page.text
    assert '<html lang="zh"' in page.text
    app.client = "asks"
    asked = await app.authorize(**hints)
    assert '<html lang="zh"' in (await app.browser.get(asked.headers["location"])).text
    await app.browser.post("/language", data={"locale": "en", "next": "/"})
    assert '<html lang="en"' in (await app.authorize(**hints)).text


async def test_prompt_none_without_a_session_is_login_required(service: Running, cast: Cast) -> None:
    assert answer(await RelyingParty(service.another_client()).authorize(prompt="none"))["error"] == "login_required"


async def test_prompt_login_and_max_age_ask_again(app: RelyingParty, clock: Clock) -> None:
    clock.move(100)
    for changes in ({"prompt": "login"}, {"max_age": "99"}):
        assert "again=1" in (await app.authorize(**changes)).headers["location"]
    assert "code" in answer(await app.authorize(max_age="100"))
    assert answer(await app.authorize(max_age="99", prompt="none"))["error"] == "login_required"


async def test_consent_is_asked_once(app: RelyingParty) -> None:
    app.client = "asks"
    assert answer(await app.authorize(prompt="none"))["error"] == "consent_required"
    page = await app.authorize()
    assert page.status_code == 200
    request_id = page.text.split('name="request" value="')[1].partition('"')[0]
    agreed = await app.browser.post("/oauth2/consent", data={"request": request_id, "answer": "allow"})
    assert f"{BACK}?code=" in agreed.text
    assert "code" in answer(await app.authorize(prompt="none"))
    denied = await app.authorize(prompt="consent")
    request_id = denied.text.split('name="request" value="')[1].partition('"')[0]
    page = await app.browser.post("/oauth2/consent", data={"request": request_id, "answer": "deny"})
    assert "error=access_denied" in page.text
    again = await app.browser.post("/oauth2/consent", data={"request": request_id, "answer": "allow"})
    assert again.status_code == 404


async def test_consent_of_one_user_does_not_count_for_another(app: RelyingParty) -> None:
    app.client = "asks"
    page = await app.authorize()
    request_id = page.text.split('name="request" value="')[1].partition('"')[0]
    credentials = {"username": "alice", "password": PASSWORD}
    assert (await app.browser.post("/api/session", json=credentials)).status_code == 200
    asked = await app.browser.post("/oauth2/consent", data={"request": request_id, "answer": "allow"})
    assert "code=" not in asked.text
    assert 'name="request"' in asked.text
    agreed = await app.browser.post("/oauth2/consent", data={"request": request_id, "answer": "allow"})
    assert f"{BACK}?code=" in agreed.text


async def test_form_post_returns_the_code_and_authorize_takes_post(app: RelyingParty) -> None:
    page = await app.authorize(response_mode="form_post")
    assert f'action="{BACK}"' in page.text
    assert "form-action https://app.example.com" in page.headers["content-security-policy"]
    posted = await app.browser.post(
        "/oauth2/authorize", data={"client_id": "app"}, headers={"Origin": "https://a.test"}
    )
    assert posted.headers["location"] == "/oauth2/authorize?client_id=app"


async def test_client_is_limited_to_its_groups(service: Running, app: RelyingParty, cast: Cast) -> None:
    app.client = "staff"
    page = await app.authorize()
    assert page.status_code == 403
    assert "error=access_denied" in page.text
    assert answer(await app.authorize(prompt="none"))["error"] == "access_denied"
    await service.state["users"].set_groups(cast.bob.id, ("staff",))
    tokens = await app.sign_in()
    await service.state["users"].set_groups(cast.bob.id, ())
    assert (await app.userinfo(tokens["access_token"])).status_code == 401
    assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_refresh_tokens_rotate_with_grace(app: RelyingParty, clock: Clock) -> None:
    first = await app.sign_in()
    second = (await app.refresh(first["refresh_token"], scope="openid profile email")).json()
    assert (await app.refresh(first["refresh_token"])).json()["refresh_token"] == second["refresh_token"]
    clock.move(11)
    assert (await app.refresh(first["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await app.refresh(second["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await app.userinfo(second["access_token"])).status_code == 401


async def test_ended_session_ends_its_tokens_but_not_offline_ones(app: RelyingParty) -> None:
    bound = await app.sign_in()
    offline = await app.sign_in(scope="openid offline_access")
    await app.browser.delete("/api/session")
    assert (await app.userinfo(bound["access_token"])).status_code == 401
    assert (await app.refresh(bound["refresh_token"])).status_code == 400
    assert (await app.refresh(offline["refresh_token"])).status_code == 200


async def test_introspection_and_revocation_need_the_right_client(
    app: RelyingParty,
) -> None:
    tokens = await app.sign_in()
    form = {"token": tokens["access_token"]}
    own = await app.browser.post("/oauth2/introspect", data=form, auth=("app", SECRET))
    assert own.json()["active"] is True
    for caller, active in (("other", False), ("gateway", True)):
        said = await app.browser.post("/oauth2/introspect", data=form, auth=(caller, SECRET))
        assert said.json()["active"] is active
    await app.browser.post("/oauth2/revoke", data=form, auth=("other", SECRET))
    assert (await app.userinfo(tokens["access_token"])).status_code == 200
    revoked = await app.browser.post("/oauth2/revoke", data=form, auth=("app", SECRET))
    assert (revoked.status_code, revoked.content, revoked.headers.get("content-type")) == (200, b"", None)
    assert (await app.userinfo(tokens["access_token"])).status_code == 401
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200


async def test_jwt_access_tokens_and_pairwise_subjects(service: Running, app: RelyingParty, cast: Cast) -> None:
    app.client = "jwt"
    tokens = await app.sign_in()
    assert tokens["access_token"].count(".") == 2
    assert (await app.userinfo(tokens["access_token"])).json()["sub"] == cast.bob.id
    public = await claims_of(service, tokens["id_token"])
    app.client = "private"
    claims = await claims_of(service, (await app.sign_in())["id_token"])
    assert claims["sub"] not in {cast.bob.id, ""}
    app.client, app.back = "discreet", "https://other.example.com/callback"
    others = await claims_of(service, (await app.sign_in())["id_token"])
    for name in ("sub", "sid"):
        assert len({public[name], claims[name], others[name]}) == 3


async def test_introspection_tells_no_name_without_the_scope_profile(app: RelyingParty) -> None:
    for scope, known in (("openid profile", True), ("openid", False)):
        form = {"token": (await app.sign_in(scope=scope))["access_token"]}
        for client in ("app", "gateway"):
            said = (await app.browser.post("/oauth2/introspect", data=form, auth=(client, SECRET))).json()
            assert (said["active"], "username" in said) == (True, known)


async def test_grants_are_listed_and_withdrawn(app: RelyingParty) -> None:
    tokens = await app.sign_in()
    (grant,) = (await app.browser.get("/api/account/grants")).json()
    assert (grant["id"], grant["name"]) == ("app", "App")
    assert "App" in (await app.browser.get("/account/services")).text
    assert (await app.browser.delete("/api/account/grants/app")).status_code == 204
    assert (await app.browser.delete("/api/account/grants/app")).status_code == 404
    assert (await app.userinfo(tokens["access_token"])).status_code == 401
    assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_service_signs_the_user_out(app: RelyingParty) -> None:
    tokens = await app.sign_in()
    query = {"post_logout_redirect_uri": "https://app.example.com/", "client_id": "app", "state": "x"}
    assert (await app.browser.get("/oauth2/end-session", params=query)).status_code == 200  # a question
    foreign = query | {"post_logout_redirect_uri": "https://app.example.com/?foo=bar"}
    assert (await app.browser.get("/oauth2/end-session", params=foreign)).status_code == 400
    hinted = query | {"id_token_hint": tokens["id_token"]}
    response = await app.browser.get("/oauth2/end-session", params=hinted)
    assert response.headers["location"] == "https://app.example.com/?state=x"
    assert answer(await app.authorize(prompt="none"))["error"] == "login_required"
    asked = await app.browser.post("/oauth2/sign-out", data={"client": "app", "back": "https://evil.test/"})
    assert "evil.test" not in asked.text


def next_of(location: str) -> str:
    return parse_qs(urlsplit(location).query)["next"][0]


async def test_sign_in_after_the_first_takes_three_commands(service: Running, app: RelyingParty, clock: Clock) -> None:
    await app.sign_in()
    (first,) = (await app.browser.get("/api/account/grants")).json()
    before = service.state["store"].commands
    await app.sign_in()
    assert service.state["store"].commands - before == 3
    assert (await app.browser.get("/api/account/grants")).json() == [first], "the last use is noted to the minute"
    clock.move(61)
    await app.sign_in()
    (later,) = (await app.browser.get("/api/account/grants")).json()
    assert (later["first"], later["last"]) == (first["first"], first["last"] + 61)
