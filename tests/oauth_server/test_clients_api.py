"""Administrators make clients."""

import asyncio
from typing import Any

import orjson
import pytest

from app.accounts.secret import digest
from app.oauth_server import administration
from app.store.keys import oauth_server as keys
from tests.helpers.cast import Cast, signed_in
from tests.helpers.service import Running
from tests.helpers.valkey import Valkey
from tests.oauth_server.conftest import BACK, VERIFIER, RelyingParty, clients


async def test_administrator_makes_changes_and_removes_a_client(service: Running, cast: Cast) -> None:
    admin = await signed_in(service, "alice")
    made = await admin.post("/api/clients", json={"id": "wiki", "name": "Wiki", "redirect_uris": [BACK]})
    assert made.status_code == 201, made.text
    secrets = [made.json()["secret"]]
    assert (await admin.post("/api/clients", json={"id": "wiki", "redirect_uris": [BACK]})).status_code == 409
    changed = await admin.patch("/api/clients/wiki", json={"first_party": True})
    assert changed.json()["first_party"] is True
    assert "secret" not in (await admin.get("/api/clients/wiki")).text
    secrets.append((await admin.post("/api/clients/wiki/secrets")).json()["secret"])
    app = RelyingParty(await signed_in(service, "bob"), "wiki")
    for secret in secrets:
        form = {"grant_type": "authorization_code", "code": await app.code(), "code_verifier": VERIFIER}
        tokens = await app.browser.post("/oauth2/token", data=form, auth=("wiki", secret))
        assert tokens.status_code == 200
    assert (await admin.get("/api/clients")).json()["total"] == len(clients()) + 1
    assert (await admin.delete("/api/clients/wiki")).status_code == 204
    assert (await app.userinfo(tokens.json()["access_token"])).status_code == 401
    assert (await app.authorize()).status_code == 400


async def test_concurrent_changes_of_a_client_are_all_kept(service: Running, cast: Cast) -> None:
    admin = await signed_in(service, "alice")
    await admin.post("/api/clients", json={"id": "wiki", "name": "Wiki", "redirect_uris": [BACK]})
    fields = ("first_party", "device", "introspect", "disabled")
    changes = (admin.patch("/api/clients/wiki", json={name: True}) for name in fields)
    made, *_ = await asyncio.gather(admin.post("/api/clients/wiki/secrets"), *changes)
    now = (await admin.get("/api/clients/wiki")).json()
    assert [now[name] for name in fields] == [True] * 4
    stored = await service.state["oauth_server"].clients.get("wiki")
    assert stored is not None
    assert digest(made.json()["secret"]) in stored.secrets


async def test_client_of_a_newer_version_is_read(service: Running, cast: Cast, server: Valkey) -> None:
    admin = await signed_in(service, "alice")
    await admin.post("/api/clients", json={"id": "wiki", "name": "Wiki", "redirect_uris": [BACK]})
    with server.client as client:
        stored = orjson.loads(client.hget(keys.client("wiki"), "client"))
        client.hset(keys.client("wiki"), "client", orjson.dumps(stored | {"colour": "red"}))
    assert (await admin.get("/api/clients/wiki")).json()["name"] == "Wiki"


@pytest.mark.parametrize("access_token_format", ["opaque", "jwt"])
async def test_a_scope_that_is_taken_from_a_client_is_gone_from_its_tokens(
    service: Running, cast: Cast, access_token_format: str
) -> None:
    admin, app = await signed_in(service, "alice"), RelyingParty(await signed_in(service, "bob"), "wiki")
    scopes = ["openid", "profile", "offline_access"]
    table = {"id": "wiki", "redirect_uris": [BACK], "first_party": True, "scopes": scopes}
    table |= {"access_token_format": access_token_format}
    auth = ("wiki", (await admin.post("/api/clients", json=table)).json()["secret"])

    async def send(path: str, **form: str) -> dict[str, Any]:
        response = await app.browser.post(f"/oauth2/{path}", data=form, auth=auth)
        assert response.status_code == 200, response.text
        return dict(response.json())

    asked = " ".join(scopes)
    code = await app.code(scope=asked)
    tokens = await send("token", grant_type="authorization_code", code=code, code_verifier=VERIFIER, redirect_uri=BACK)
    for _ in range(2):  # the second response is cached
        assert (await send("introspect", token=tokens["access_token"]))["scope"] == asked
        assert (await app.userinfo(tokens["access_token"])).json()["name"] == "bob"
    assert (await admin.patch("/api/clients/wiki", json={"scopes": ["openid"]})).status_code == 200
    for _ in range(2):
        assert (await send("introspect", token=tokens["access_token"]))["scope"] == "openid"
        assert (await app.userinfo(tokens["access_token"])).json() == {"sub": cast.bob.id}
    for changes in ({}, {"scope": asked}):
        refreshed = await send("token", grant_type="refresh_token", refresh_token=tokens["refresh_token"], **changes)
        assert refreshed["scope"] == "openid"
        assert (await app.userinfo(refreshed["access_token"])).json() == {"sub": cast.bob.id}
    assert (await app.browser.delete("/api/session")).status_code == 204  # which the tokens outlived until now
    assert (await app.userinfo(refreshed["access_token"])).status_code == 401


@pytest.mark.parametrize(("method", "path"), [("PATCH", "/api/clients/wiki"), ("POST", "/api/clients/wiki/secrets")])
async def test_client_that_is_removed_during_a_change_stays_removed(
    service: Running, cast: Cast, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    admin = await signed_in(service, "alice")
    await admin.post("/api/clients", json={"id": "wiki", "name": "Wiki", "redirect_uris": [BACK]})

    async def meanwhile(*_: object, **__: object) -> None:
        await service.state["oauth_server"].clients.store.remove("wiki")

    monkeypatch.setattr(administration, "audit", meanwhile)
    assert (await admin.request(method, path, json={})).status_code == 404
    assert (await admin.get("/api/clients/wiki")).status_code == 404


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ({}, "redirect_uris"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "redirect_uris"),
        ({"redirect_uris": [BACK], "id": "a b"}, "id"),
        ({"redirect_uris": [BACK], "id": 7}, "id"),
        ({"redirect_uris": [BACK], "name": 7}, "name"),
        ({"redirect_uris": [BACK], "first_party": 1}, "first_party"),
        ({"redirect_uris": [BACK], "secrets": ["x"]}, "secrets"),
        ({"redirect_uris": [BACK], "pkce": "perhaps"}, "pkce"),
    ],
)
async def test_wrong_field_is_named(service: Running, cast: Cast, table: dict[str, object], field: str) -> None:
    response = await (await signed_in(service, "alice")).post("/api/clients", json=table)
    assert (response.status_code, response.json()["field"]) == (400, field)


async def test_clients_of_the_settings_stay_as_they_are_and_others_do_not_see_them(
    service: Running, cast: Cast
) -> None:
    admin, bob = await signed_in(service, "alice"), await signed_in(service, "bob")
    assert (await admin.delete("/api/clients/app")).status_code == 409
    assert (await bob.get("/api/clients")).status_code == 403
