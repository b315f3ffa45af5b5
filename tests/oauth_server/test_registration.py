"""Pushed authorization requests (RFC 9126) and dynamic registration (RFC 7591, 7592)."""

from typing import Any

import httpx
import pytest

from tests.helpers.cast import Cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running
from tests.oauth_server.conftest import BACK, CHALLENGE, SECRET, VERIFIER, RelyingParty, answer

PUSHED = {
    "response_type": "code", "redirect_uri": BACK, "scope": "openid", "state": "pushed",
    "code_challenge": CHALLENGE, "code_challenge_method": "S256",
}  # fmt: skip
METADATA = {"redirect_uris": [BACK], "client_name": "Made by a program", "unknown": 1}


@pytest.fixture
async def app(service: Running, cast: Cast) -> RelyingParty:
    return RelyingParty(await signed_in(service, "bob"))


async def push(app: RelyingParty, client: str = "app", **changes: Any) -> httpx.Response:
    return await app.browser.post("/oauth2/par", data=PUSHED | changes, auth=(client, SECRET))


async def test_pushed_request_counts_once_and_for_its_client_alone(app: RelyingParty) -> None:
    pushed = await push(app)
    assert pushed.status_code == 201
    query = {"client_id": "app", "request_uri": pushed.json()["request_uri"], "state": "not this one"}
    given = answer(await app.browser.get("/oauth2/authorize", params=query))
    assert given["state"] == "pushed"
    assert (await app.redeem(given["code"])).status_code == 200
    assert (await app.browser.get("/oauth2/authorize", params=query)).status_code == 400
    stolen = query | {"request_uri": (await push(app)).json()["request_uri"], "client_id": "other"}
    assert (await app.browser.get("/oauth2/authorize", params=stolen)).status_code == 400


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uri": "https://evil.test/"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"request_uri": "urn:x"}, "invalid_request"),
        ({"client_id": "other"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
    ],
)
async def test_wrong_request_is_refused_when_it_is_pushed(
    app: RelyingParty, changes: dict[str, str], error: str
) -> None:
    refused = await push(app, **changes)
    assert (refused.status_code, refused.json()["error"]) == (400, error)


async def test_client_registers_reads_changes_and_removes_itself(
    service: Running, app: RelyingParty, clock: Clock
) -> None:
    admin = await signed_in(service, "alice")
    token = (await admin.post("/api/registration-tokens")).json()["token"]
    program = service.another_client(headers={"Authorization": f"Bearer {token}"})
    made = await program.post("/oauth2/register", json=METADATA)
    assert made.status_code == 201, made.text
    client = made.json()
    assert (client["scope"], client["id_token_signed_response_alg"]) == ("openid profile email", "RS256")
    own = {"Authorization": f"Bearer {client['registration_access_token']}"}
    path = f"/oauth2/register/{client['client_id']}"
    assert client["registration_client_uri"] == f"http://tallygate.test{path}"
    app.client = client["client_id"]
    page = await app.authorize()
    assert "Made by a program (app.example.com)" in page.text  # it asks for consent
    request_id = page.text.split('name="request" value="')[1].partition('"')[0]
    agreed = await app.browser.post("/oauth2/consent", data={"request": request_id, "answer": "allow"})
    code = agreed.text.split("code=")[1].partition("&")[0]
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER}
    tokens = await app.browser.post("/oauth2/token", data=form, auth=(app.client, client["client_secret"]))
    assert tokens.status_code == 200, tokens.text
    for wrong in ({}, {"client_id": "app"}, {"client_id": app.client, "client_secret": "x"}):
        refused = await program.put(path, json=METADATA | wrong, headers=own)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client_metadata")
    changed = await program.put(path, json=client | {"client_name": "Another name", "scope": None}, headers=own)
    assert (changed.json()["client_name"], "client_secret" in changed.json()) == ("Another name", False)
    assert (await program.get(path, headers=own)).json()["client_name"] == "Another name"
    for method in ("GET", "PUT", "DELETE"):  # the token of registration is no client's
        assert (await program.request(method, path, json=METADATA)).status_code == 401
    assert (await program.delete(path, headers=own)).status_code == 204
    assert (await program.get(path, headers=own)).status_code == 401


async def test_what_an_administrator_gave_a_registered_client_survives_its_changes(
    service: Running, app: RelyingParty
) -> None:
    admin = await signed_in(service, "alice")
    token = (await admin.post("/api/registration-tokens")).json()["token"]
    program = service.another_client(headers={"Authorization": f"Bearer {token}"})
    client = (await program.post("/oauth2/register", json=METADATA)).json()
    given = {
        "first_party": True, "pkce": False, "device": True, "introspect": True, "groups": ["staff"],
        "access_token_format": "jwt", "scopes": ["openid", "groups"],
    }  # fmt: skip
    path = f"/api/clients/{client['client_id']}"
    assert (await admin.patch(path, json=given)).status_code == 200
    own = {"Authorization": f"Bearer {client['registration_access_token']}"}
    assert client["token_endpoint_auth_method"] == "client_secret_basic"
    change = METADATA | {
        "client_id": client["client_id"], "scope": "openid groups wechat",
        "token_endpoint_auth_method": "client_secret_post",
    }  # fmt: skip
    changed = await program.put(f"/oauth2/register/{client['client_id']}", json=change, headers=own)
    assert changed.json()["scope"] == "openid groups"
    assert changed.json()["token_endpoint_auth_method"] == "client_secret_post"
    assert (await admin.patch(path, json={"name": "Renamed"})).status_code == 200
    read = await program.get(f"/oauth2/register/{client['client_id']}", headers=own)
    assert (read.json()["client_name"], read.json()["token_endpoint_auth_method"]) == ("Renamed", "client_secret_post")
    shown = (await admin.get(path)).json()
    assert {name: shown[name] for name in given} == given


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": None}, "invalid_redirect_uri"),
        ({"grant_types": ["implicit"]}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": ["none"]}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
        ({"scope": "groups"}, "invalid_client_metadata"),
        ({"scope": 7}, "invalid_client_metadata"),
        ({"client_name": 7}, "invalid_client_metadata"),
        ({"jwks_uri": "https://app.example.com/keys"}, "invalid_client_metadata"),
        ({"sector_identifier_uri": "https://app.example.com/uris"}, "invalid_client_metadata"),
    ],
)
async def test_wrong_metadata_is_refused(
    service: Running, app: RelyingParty, changes: dict[str, object], error: str
) -> None:
    admin = await signed_in(service, "alice")
    token = (await admin.post("/api/registration-tokens")).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    refused = await app.browser.post("/oauth2/register", json=METADATA | changes, headers=headers)
    assert (refused.status_code, refused.json()["error"]) == (400, error)


async def test_registration_needs_a_token_that_an_administrator_made(service: Running, app: RelyingParty) -> None:
    assert (await app.browser.post("/oauth2/register", json=METADATA)).status_code == 401
    for token in ("x", "0" * 64, SECRET):
        headers = {"Authorization": f"Bearer {token}"}
        assert (await app.browser.post("/oauth2/register", json=METADATA, headers=headers)).status_code == 401
    assert (await app.browser.post("/api/registration-tokens")).status_code == 403
    admin = await signed_in(service, "alice")
    shown = await admin.post("/admin/clients/registration")
    assert "Clients register themselves" in (await admin.get(shown.headers["location"])).text
