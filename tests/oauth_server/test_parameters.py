"""Each parameter of each endpoint doubled, too long, not UTF-8, empty, missing or of the wrong type: the
specification's error code, and nothing is stored.
"""

import base64
from itertools import product
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.helpers.cast import Cast, signed_in
from tests.helpers.service import Running
from tests.oauth_server.conftest import BACK, CHALLENGE, SECRET, RelyingParty, answer

AUTHORIZE = {
    "response_type": "code", "scope": "openid", "state": "s", "nonce": "n", "response_mode": "query",
    "code_challenge": CHALLENGE, "code_challenge_method": "S256", "max_age": "1000", "prompt": "consent",
    "display": "page", "ui_locales": "zh", "login_hint": "bob", "acr_values": "1", "claims": "{}", "unknown": "x",
}  # fmt: skip
CLIENT = {"client_id": "app", "client_secret": SECRET}
FORMS = {
    "token": CLIENT | {"grant_type": "refresh_token", "refresh_token": "x", "scope": "openid"},
    "revoke": CLIENT | {"token": "x", "token_type_hint": "x"},
    "introspect": CLIENT | {"token": "x", "token_type_hint": "x"},
    "par": CLIENT | AUTHORIZE | {"redirect_uri": BACK},
    "device_authorization": CLIENT | {"client_id": "tv", "scope": "openid"},
    "userinfo": {"access_token": "x"},
}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NEEDED = {
    ("token", "grant_type"), ("token", "refresh_token"), ("revoke", "token"), ("introspect", "token"),
    ("par", "response_type"), ("par", "code_challenge"), ("par", "redirect_uri"), ("par", "code_challenge_method"),
}  # fmt: skip


KEYS: tuple[object, ...] = (
    "x", {}, {"kty": 7}, {"kty": "oct", "k": "A" * 43}, {"kty": "RSA", "n": "", "e": ""},
    {"kty": "RSA", "n": "é", "e": "AQAB"}, {"kty": "EC", "crv": "P-256", "x": 1, "y": 2},
    {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, {"kty": "OKP", "crv": "X25519", "x": "A" * 43},
)  # fmt: skip
METADATA = (
    "redirect_uris", "post_logout_redirect_uris", "grant_types", "response_types", "client_name", "scope",
    "token_endpoint_auth_method", "id_token_signed_response_alg", "subject_type", "backchannel_logout_uri",
)  # fmt: skip
WRONG_VALUES: tuple[object, ...] = (7, {}, True, "\0", [7])
WRONG_KEY_SETS: tuple[object, ...] = (7, "x", [], {"keys": {}}, *({"keys": [key]} for key in KEYS))
WRONG_METADATA = [*product(METADATA, WRONG_VALUES), *product(["jwks"], WRONG_KEY_SETS)]


def encoded(parameters: dict[str, str]) -> str:
    return "&".join(f"{name}={quote(value)}" for name, value in parameters.items())


def spoilt(parameters: dict[str, str], name: str) -> dict[str, str]:
    """The query or form with one parameter wrong, by what is wrong."""
    rest = encoded({each: value for each, value in parameters.items() if each != name})
    value = quote(parameters[name])
    return {
        "doubled": f"{rest}&{name}={value}&{name}={value}",
        "too long": f"{rest}&{name}={'x' * 9000}",
        "not UTF-8": f"{rest}&{name}=%FF%C3",
        "half of a character": f"{rest}&{name}=%ED%A0%80",
        "NUL": f"{rest}&{name}={value}%00",
    }


@pytest.fixture
async def app(service: Running, cast: Cast) -> RelyingParty:
    return RelyingParty(await signed_in(service, "bob"))


async def stored(service: Running) -> set[bytes]:
    return set(await service.state["store"].idempotent("KEYS", "oauth-server:*"))


def basic(credentials: bytes, scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(credentials).decode()}"


async def test_a_spoilt_parameter_of_an_authorization_goes_back_to_the_client(app: RelyingParty) -> None:
    known = {"client_id": "app", "redirect_uri": BACK}
    for name in AUTHORIZE:
        for wrong, query in spoilt(known | AUTHORIZE, name).items():
            said = answer(await app.browser.get(f"/oauth2/authorize?{query}"))
            assert (said["error"], said.get("state")) == ("invalid_request", None if name == "state" else "s"), (
                name, wrong,
            )  # fmt: skip
    for name in known:
        for wrong, query in spoilt(known | AUTHORIZE, name).items():
            assert (await app.browser.get(f"/oauth2/authorize?{query}")).status_code == 400, (name, wrong)
    for more in ("&x=" + "x" * 30_000, "&x=1" * 60, "&" + "&".join(f"x{each}=1" for each in range(60))):
        said = answer(await app.browser.get(f"/oauth2/authorize?{encoded(known | AUTHORIZE)}{more}"))
        assert (said["error"], said["state"]) == ("invalid_request", "s")


@pytest.mark.parametrize("endpoint", FORMS)
async def test_a_spoilt_parameter_of_a_form_is_an_invalid_request(
    service: Running, app: RelyingParty, endpoint: str
) -> None:
    before = await stored(service)

    async def sent(body: str, content_type: dict[str, str] = FORM) -> httpx.Response:
        return await app.browser.post(f"/oauth2/{endpoint}", content=body, headers=content_type)

    parameters: dict[str, Any] = FORMS[endpoint]
    for name in parameters:
        for wrong, body in spoilt(parameters, name).items():
            response = await sent(body)
            assert (response.status_code, response.json()["error"]) == (400, "invalid_request"), (name, wrong)
    for endpoint_of, name in NEEDED:
        if endpoint_of == endpoint:
            for empty in ({}, {name: ""}):
                rest = {each: value for each, value in parameters.items() if each != name} | empty
                assert (await sent(encoded(rest))).json()["error"] == "invalid_request", name
    for kind in ("application/json", "multipart/form-data; boundary=x", "text/plain", ""):
        response = await sent(encoded(parameters), {"Content-Type": kind})
        if endpoint == "userinfo":
            assert (response.status_code, response.content) == (401, b""), kind  # it has no token
        else:
            assert (response.status_code, response.json()["error"]) == (400, "invalid_request"), kind
    assert (await sent(encoded(parameters) + "&x=" + "x" * 20_000)).json()["error"] == "invalid_request"
    assert await stored(service) == before


@pytest.mark.parametrize("endpoint", ["token", "revoke", "introspect", "par", "device_authorization"])
async def test_client_authentication_names_its_mistake(app: RelyingParty, endpoint: str) -> None:
    credentials = f"tv:{SECRET}".encode()
    right, assertion = basic(credentials), {"client_assertion": "a.b.c", "client_assertion_type": "x"}
    for authorization, form, status, error in (
        ([right], {"client_id": "tv", "client_secret": SECRET}, 400, "invalid_request"),
        ([right], {"client_id": "app"}, 400, "invalid_request"), ([right, right], {}, 400, "invalid_request"),
        ([right], assertion, 400, "invalid_request"), ([], assertion, 400, "invalid_request"),
        ([basic(b"tv:no")], {}, 401, "invalid_client"), ([basic(b"tv")], {}, 401, "invalid_client"),
        ([basic(b"\xff:\xff")], {}, 401, "invalid_client"), ([basic(b"t\0v:x")], {}, 401, "invalid_client"),
        (["Basic %%%"], {}, 401, "invalid_client"), (["Basic"], {}, 401, "invalid_client"),
        (["Bearer x"], {}, 401, "invalid_client"), ([basic(b"spa:x")], {}, 401, "invalid_client"),
        ([], {}, 401, "invalid_client"), ([], {"client_id": "tv"}, 401, "invalid_client"),
        ([], {"client_id": "x" * 8000, "client_secret": "x"}, 401, "invalid_client"),
    ):  # fmt: skip
        headers = [("Authorization", each) for each in authorization]
        response = await app.browser.post(f"/oauth2/{endpoint}", data=form | {"scope": "openid"}, headers=headers)
        assert (response.status_code, response.json()["error"]) == (status, error), (authorization, form)
        assert response.headers.get("www-authenticate") == ('Basic realm="tallygate"' if status == 401 else None)
    for scheme in ("basic", "BASIC"):
        headers = [("Authorization", basic(credentials, scheme))]
        response = await app.browser.post(f"/oauth2/{endpoint}", data={"scope": "openid"}, headers=headers)
        assert "invalid_client" not in response.text


async def test_a_resource_is_refused_where_tokens_are_given(app: RelyingParty) -> None:
    code = await app.code()
    assert (await app.redeem(code, resource="https://api.example.com/")).json()["error"] == "invalid_target"
    assert (await app.redeem(code)).status_code == 200
    form = {"scope": "openid", "resource": "https://api.example.com/"}
    refused = await app.browser.post("/oauth2/device_authorization", data=form, auth=("tv", SECRET))
    assert refused.json()["error"] == "invalid_target"


async def test_a_redirect_uri_that_cannot_be_read_is_not_left_out(app: RelyingParty) -> None:
    rest = encoded({"client_id": "app"} | AUTHORIZE | {"scope": "profile", "prompt": "none"})
    assert "code" in answer(await app.browser.get(f"/oauth2/authorize?{rest}"))
    for more in ("redirect_uri=https://a.test&redirect_uri=https://a.test", "redirect_uri=%00", "redirect_uri=%FF"):
        assert (await app.browser.get(f"/oauth2/authorize?{rest}&{more}")).status_code == 400, more


async def test_forms_of_other_sites_become_queries_byte_by_byte(app: RelyingParty) -> None:
    for path in ("/oauth2/authorize", "/oauth2/end-session"):
        response = await app.browser.post(path, content=b"state=\xc3\xa9%20\r\nx#y&z", headers=FORM)
        assert response.headers["location"] == f"{path}?state=%C3%A9%20%0D%0Ax%23y&z"
        for content, kind in ((b"state=" + b"x" * 12_000, FORM), (b"{}", {"Content-Type": "application/json"})):
            assert (await app.browser.post(path, content=content, headers=kind)).status_code == 400


async def test_a_spoilt_sign_out_is_a_page_and_signs_nobody_out(app: RelyingParty) -> None:
    right = {
        "id_token_hint": (await app.sign_in())["id_token"], "client_id": "app", "state": "s",
        "post_logout_redirect_uri": "https://app.example.com/", "logout_hint": "bob", "ui_locales": "zh",
    }  # fmt: skip
    for name in right:
        for wrong, query in spoilt(right, name).items():
            response = await app.browser.get(f"/oauth2/end-session?{query}")
            assert (response.status_code, response.headers.get("location")) == (400, None), (name, wrong)
    for name in ("client", "back"):
        assert (await app.browser.post("/oauth2/sign-out", data={name: "x" * 9000})).status_code == 400
    assert (await app.browser.get("/api/session")).status_code == 200
    assert (await app.browser.get(f"/oauth2/end-session?{encoded(right)}")).status_code == 303


async def test_a_spoilt_answer_on_the_page_of_devices_decides_nothing(service: Running, app: RelyingParty) -> None:
    begun = await app.browser.post("/oauth2/device_authorization", data={"scope": "openid"}, auth=("tv", SECRET))
    code, before = begun.json()["user_code"], await stored(service)
    right = encoded({"user_code": code, "answer": "allow"})
    for name, form in spoilt({"user_code": code[:-1], "answer": "allow"}, "user_code").items():
        assert (await app.browser.post("/device", content=form, headers=FORM)).status_code == 400, name
        assert (await app.browser.get(f"/device?{form}")).status_code == 200, name
    for kind in ("application/json", "text/plain", ""):
        response = await app.browser.post("/device", content=right, headers={"Content-Type": kind})
        assert response.status_code == 400, kind
    assert await stored(service) == before
    question = await app.browser.post("/device", data={"user_code": code, "answer": "ALLOW"})
    assert (question.status_code, 'value="allow"' in question.text) == (200, True)


async def test_a_member_of_a_registration_of_the_wrong_type_is_named(service: Running, app: RelyingParty) -> None:
    admin = await signed_in(service, "alice")
    token = (await admin.post("/api/registration-tokens")).json()["token"]
    bearer, before = {"Authorization": f"Bearer {token}"}, await stored(service)
    for name, value in WRONG_METADATA:
        keyed = {"token_endpoint_auth_method": "private_key_jwt"} if name == "jwks" else {}
        body = {"redirect_uris": [BACK]} | keyed | {name: value}
        response = await app.browser.post("/oauth2/register", json=body, headers=bearer)
        code = "invalid_redirect_uri" if name == "redirect_uris" else "invalid_client_metadata"
        assert (response.status_code, response.json()["error"]) == (400, code), (name, value)
        assert response.json()["error_description"].startswith(f"{name}: "), (name, value)
    for content in (b"{", b"[]", b"\xff", b"[" * 5000, b'{"redirect_uris": ["\\ud800"]}'):
        headers = bearer | {"Content-Type": "application/json"}
        response = await app.browser.post("/oauth2/register", content=content, headers=headers)
        assert (response.status_code, response.json()["error"]) == (400, "invalid_client_metadata"), content
    assert await stored(service) == before


async def test_an_access_token_that_is_missing_or_wrong_is_challenged(app: RelyingParty) -> None:
    tokens = await app.sign_in()
    narrow = (await app.refresh(tokens["refresh_token"], scope="profile")).json()["access_token"]
    bearer, plain = f"Bearer {narrow}", 'Bearer realm="tallygate"'
    for authorization, status, challenge in (
        ([], 401, plain), ([basic(b"app:x")], 401, plain), (["DPoP x"], 401, plain), ([""], 401, plain),
        (["Bearer"], 401, f'{plain}, error="invalid_token"'), (["Bearer x y"], 401, f'{plain}, error="invalid_token"'),
        ([bearer], 403, f'{plain}, error="insufficient_scope"'), ([bearer, bearer], 400, None),
    ):  # fmt: skip
        headers = [("Authorization", each) for each in authorization]
        for method in ("GET", "POST"):
            response = await app.browser.request(method, "/oauth2/userinfo", headers=headers)
            assert (response.status_code, response.headers.get("www-authenticate")) == (status, challenge), headers
            assert bool(response.content) is (challenge != plain)
    assert (await app.userinfo(tokens["access_token"])).status_code == 200
    doubled = [("Authorization", "Bearer x"), ("Authorization", f"Bearer {tokens['access_token']}")]
    assert (await app.browser.get("/oauth2/userinfo", headers=doubled)).status_code == 400  # although it is cached


async def test_the_access_token_is_sent_in_one_way(app: RelyingParty) -> None:
    token = (await app.sign_in())["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    for content, headers, status in (
        ({}, bearer, 200), ({"other": "x"}, bearer, 200), ({"access_token": token}, {}, 200),
        ({"access_token": token}, bearer, 400), ({"access_token": token}, {"Authorization": "Basic eDp4"}, 400),
    ):  # fmt: skip
        response = await app.browser.post("/oauth2/userinfo", data=content, headers=headers)
        assert response.status_code == status, (content, headers)


async def test_prompt_none_tells_other_sites_nothing(service: Running, app: RelyingParty) -> None:
    """Every user sees a redirect to the client, whatever the account: the same status, headers and address."""
    stranger = RelyingParty(service.another_client())
    answers = [await stranger.authorize(prompt="none"), await app.authorize(prompt="none")]
    for client in ("asks", "staff"):
        app.client = client
        answers.append(await app.authorize(prompt="none"))
    said = [answer(each).get("error") for each in answers]
    assert said == ["login_required", None, "consent_required", "access_denied"]
    shapes = {
        (each.headers["location"].partition("?")[0], tuple(sorted(each.headers)), each.headers["cache-control"])
        for each in answers
    }
    assert len(shapes) == 1
    ((address, headers, caching),) = shapes
    assert (address, caching) == (BACK, "no-store")
    assert not {"access-control-allow-origin", "timing-allow-origin", "set-cookie"} & set(headers)
    jar = {each.name: each.get_nonstandard_attr("SameSite", "").lower() for each in app.browser.cookies.jar}
    assert set(jar.values()) == {"lax"}, jar  # none comes along into a frame of another site
    for client in ("app", "asks"):
        app.client = client
        page = await app.authorize(prompt="none", response_mode="form_post")
        assert page.status_code == 200
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
