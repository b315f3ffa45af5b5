"""Each parameter of each endpoint doubled, too long, not UTF-8, empty or missing: the specification's error code."""

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
async def test_a_spoilt_parameter_of_a_form_is_an_invalid_request(app: RelyingParty, endpoint: str) -> None:
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
        assert (response.status_code, response.json()["error"]) == (400, "invalid_request"), kind
    assert (await sent(encoded(parameters) + "&x=" + "x" * 20_000)).json()["error"] == "invalid_request"


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
    """Whoever opens it sees a redirect to the client, whatever the account: the same status, headers and address."""
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
