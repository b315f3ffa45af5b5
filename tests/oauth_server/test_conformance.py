"""The OpenID Foundation's OP plans, module by module, where no other test has them."""

import base64
import hashlib
import html
import re
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey

from tests.helpers.cast import PASSWORD, Cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running
from tests.oauth_server.conftest import BACK, SECRET, VERIFIER, RelyingParty, answer

HOME = "https://app.example.com/"
FORM_FIELD = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')


@pytest.fixture
async def app(service: Running, cast: Cast) -> RelyingParty:
    return RelyingParty(await signed_in(service, "bob"))


async def claims_of(app: RelyingParty, token: str) -> dict[str, Any]:
    keys = (await app.browser.get("/oauth2/jwks.json")).json()
    return dict(jwt.decode(token, KeySet.import_key_set(keys), algorithms=["ES256"]).claims)


# the plan basic


async def test_parameters_that_may_be_ignored_are_no_error(app: RelyingParty) -> None:
    for changes in (
        {"nonce": None}, {"extra": "foobar"}, {"display": "page"}, {"display": "popup"}, {"ui_locales": "se"},
        {"claims_locales": "se"}, {"login_hint": "bob@example.com"}, {"acr_values": "1 2"}, {"state": None},
        {"claims": '{"userinfo": {"name": {"essential": true}}}'}, {"scope": "email openid profile"},
        {"scope": "openid address phone"}, {"scope": "openid address email phone profile"},
    ):  # fmt: skip
        tokens = await app.sign_in(**changes)
        claims = await claims_of(app, tokens["id_token"])
        assert claims.get("nonce") == (None if "nonce" in changes else "n"), changes
        assert (await app.userinfo(tokens["access_token"])).json()["sub"] == claims["sub"]


async def test_secret_in_the_body_is_accepted(app: RelyingParty) -> None:
    form = {
        "grant_type": "authorization_code", "code": await app.code(), "redirect_uri": BACK, "code_verifier": VERIFIER,
        "client_id": "app", "client_secret": SECRET,
    }  # fmt: skip
    assert (await app.browser.post("/oauth2/token", data=form)).status_code == 200
    both = await app.browser.post("/oauth2/token", data=form, auth=("app", SECRET))
    assert both.json()["error"] == "invalid_request"


async def test_userinfo_by_post_with_the_token_in_header_or_body(app: RelyingParty) -> None:
    token = (await app.sign_in())["access_token"]
    by_header = await app.browser.post("/oauth2/userinfo", headers={"Authorization": f"Bearer {token}"})
    by_body = await app.browser.post("/oauth2/userinfo", data={"access_token": token})
    assert by_header.json() == by_body.json() == (await app.userinfo(token)).json()


async def test_auth_time_follows_prompt_login_and_max_age(app: RelyingParty, clock: Clock) -> None:
    first = await claims_of(app, (await app.sign_in())["id_token"])
    clock.move(10)
    for changes in ({"max_age": "10000"}, {"prompt": "none"}, {"prompt": "none", "id_token_hint": await hint(app)}):
        again = await claims_of(app, (await app.sign_in(**changes))["id_token"])
        assert (again["auth_time"], again["sub"]) == (first["auth_time"], first["sub"])
    assert "/sign-in" in (await app.authorize(max_age="0")).headers["location"]
    asked = await app.authorize(prompt="login")
    form = {"username": "bob", "password": PASSWORD, "next": going_on(asked)}
    back = await app.browser.post("/sign-in", data=form)
    page = await app.browser.get(back.headers["location"])
    (code,) = re.findall(r"code=([^&\"]+)", page.text)[:1]
    later = await claims_of(app, (await app.redeem(code)).json()["id_token"])
    assert later["auth_time"] == int(clock()) == first["auth_time"] + 10


async def test_a_refreshed_id_token_is_of_the_same_sign_in(service: Running, app: RelyingParty, clock: Clock) -> None:
    clock.move(0.7)  # the times of a family are whole seconds: what is rounded differs
    app.browser = await signed_in(service, "bob")
    tokens = await app.sign_in()
    again = (await app.refresh(tokens["refresh_token"])).json()
    first, second = [await claims_of(app, each["id_token"]) for each in (tokens, again)]
    same = ("iss", "sub", "aud", "sid", "auth_time", "amr")  # OpenID Connect Core 12.2
    assert [first[name] for name in same] == [second[name] for name in same]


@pytest.mark.parametrize("client", ["app", "jwt"])
async def test_id_tokens_name_their_access_token(app: RelyingParty, client: str) -> None:
    app.client = client
    tokens = await app.sign_in()
    for each in (tokens, (await app.refresh(tokens["refresh_token"])).json()):
        half = hashlib.sha256(each["access_token"].encode()).digest()[:16]  # OpenID Connect Core 3.1.3.6
        at_hash = base64.urlsafe_b64encode(half).decode().rstrip("=")
        assert (await claims_of(app, each["id_token"]))["at_hash"] == at_hash


async def test_code_reused_after_thirty_seconds_revokes_tokens(app: RelyingParty, clock: Clock) -> None:
    code = await app.code()
    tokens = (await app.redeem(code)).json()
    clock.move(30)
    assert (await app.redeem(code)).json()["error"] == "invalid_grant"
    assert (await app.userinfo(tokens["access_token"])).status_code == 401


# the plan config


async def test_discovery_has_all_required_members(app: RelyingParty) -> None:
    document = (await app.browser.get("/.well-known/openid-configuration")).json()
    required = {
        "issuer", "authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "scopes_supported",
        "response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported",
        "claims_supported", "end_session_endpoint", "backchannel_logout_supported",
    }  # fmt: skip
    assert required <= document.keys()
    assert "RS256" in document["id_token_signing_alg_values_supported"]
    assert "none" not in document["id_token_signing_alg_values_supported"]
    keys = (await app.browser.get("/oauth2/jwks.json")).json()["keys"]
    assert all({"kid", "kty", "use", "alg"} <= key.keys() and "d" not in key for key in keys)


async def test_public_documents_may_be_cached_and_tokens_not(app: RelyingParty) -> None:
    for path in ("/.well-known/openid-configuration", "/oauth2/jwks.json"):
        headers = (await app.browser.get(path)).headers
        assert (headers["cache-control"], headers.get("pragma")) == ("public, max-age=300", None)
    for response in (await app.redeem(await app.code()), await app.redeem("wrong")):
        assert (response.headers["cache-control"], response.headers["pragma"]) == ("no-store", "no-cache")


# the plan form_post


@pytest.mark.parametrize("changes", [{}, {"scope": "nothing"}, {"response_type": "token"}])
async def test_form_post_keeps_the_code_out_of_the_query(app: RelyingParty, changes: dict[str, str]) -> None:
    page = await app.authorize(response_mode="form_post", **changes)
    assert page.status_code == 200
    assert "location" not in page.headers
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
    fields = {name: html.unescape(value) for name, value in FORM_FIELD.findall(page.text)}
    assert (fields["state"], fields["iss"]) == ("s t&ate", "http://tallygate.test")
    assert ("error" in fields) is bool(changes)
    if not changes:
        assert (await app.redeem(fields["code"])).status_code == 200


# the plan RP-initiated


async def test_sign_out_that_is_not_right_is_a_page_and_never_the_way_back(app: RelyingParty) -> None:
    right = {"id_token_hint": await hint(app), "post_logout_redirect_uri": HOME, "state": "x"}
    unsigned = ".".join((*right["id_token_hint"].split(".")[:2], ""))
    by_a_stranger = jwt.encode({"alg": "HS256"}, {"sub": "x", "aud": "app"}, OctKey.generate_key(256))
    for changes in (
        {"post_logout_redirect_uri": "https://evil.example/"}, {"post_logout_redirect_uri": f"{HOME}?foo=bar"},
        {"post_logout_redirect_uri": f"{HOME}/"}, {"id_token_hint": unsigned}, {"id_token_hint": by_a_stranger},
        {"id_token_hint": ""}, {"client_id": "other"}, {"id_token_hint": "", "client_id": "nobody"},
    ):  # fmt: skip
        for response in (await ended(app, right | changes), await ended(app, right | changes, post=True)):
            assert response.status_code == 400, changes
            assert "location" not in response.headers
    assert (await app.browser.get("/api/session")).status_code == 200


async def test_sign_out_without_a_hint_asks(app: RelyingParty) -> None:
    for query in ({}, {"state": "x"}, {"client_id": "app"}):
        page = await ended(app, query)
        assert (page.status_code, "/oauth2/sign-out" in page.text) == (200, True)
        assert (await app.browser.get("/api/session")).status_code == 200
    foreign = await app.browser.post("/oauth2/sign-out", data={}, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert (await app.browser.post("/oauth2/sign-out", data={"client": "", "back": ""})).status_code == 200
    assert answer(await app.authorize(prompt="none"))["error"] == "login_required"


async def test_expired_hint_is_good_by_post_as_well(app: RelyingParty, clock: Clock) -> None:
    query = {"id_token_hint": await hint(app), "post_logout_redirect_uri": HOME, "state": "a b"}
    clock.move(7200)
    assert (await ended(app, query, post=True)).headers["location"] == f"{HOME}?state=a+b"
    assert answer(await app.authorize(prompt="none"))["error"] == "login_required"


async def hint(app: RelyingParty) -> str:
    return str((await app.sign_in())["id_token"])


async def ended(app: RelyingParty, query: dict[str, str], *, post: bool = False) -> httpx.Response:
    if not post:
        return await app.browser.get("/oauth2/end-session", params=query)
    posted = await app.browser.post("/oauth2/end-session", data=query, headers={"Origin": "https://app.example.com"})
    return await app.browser.get(posted.headers["location"])


def going_on(asked: httpx.Response) -> str:
    return httpx.URL(asked.headers["location"]).params["next"]
