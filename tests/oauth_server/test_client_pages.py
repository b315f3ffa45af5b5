"""The pages of the administration for clients."""

import httpx
import pytest

from tests.helpers.cast import Cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running
from tests.oauth_server.conftest import BACK, VERIFIER, RelyingParty

NEW = {"name": "Wiki", "id": "wiki", "redirect_uris": BACK, "kind": "server"}
FORM = {
    "name": "The wiki", "redirect_uris": f"{BACK}\n{BACK}/2", "scopes": "openid groups", "groups": "",
    "first_party": "on", "pkce": "on", "id_token_alg": "RS256", "access_token_format": "opaque", "subject": "public",
    "logout_uri": "https://wiki.example.com/logout",
}  # fmt: skip


@pytest.fixture
async def admin(service: Running, cast: Cast) -> httpx.AsyncClient:
    return await signed_in(service, "alice")


def secret_in(page: httpx.Response) -> str:
    return page.text.split('<code class="token">', 1)[1].partition("<")[0]


async def test_client_is_created_used_and_removed(service: Running, cast: Cast, admin: httpx.AsyncClient) -> None:
    made = await admin.post("/admin/clients", data=NEW)
    page = await admin.get(made.headers["location"])
    secret = secret_in(page)
    assert "not shown again" in page.text
    assert "The secret before" not in page.text
    assert "not shown again" not in (await admin.get(made.headers["location"])).text
    assert (await admin.post("/admin/clients/wiki", data=FORM)).status_code == 303
    stored = (await admin.get("/api/clients/wiki")).json()
    assert (stored["name"], stored["redirect_uris"], stored["scopes"]) == (
        "The wiki",
        [BACK, f"{BACK}/2"],
        ["openid", "groups"],
    )
    assert (stored["id_token_alg"], stored["first_party"], stored["device"], stored["groups"]) == (
        "RS256",
        True,
        False,
        None,
    )
    renewed = await admin.post("/admin/clients/wiki/secret")
    page = await admin.get(renewed.headers["location"])
    assert "The secret before" in page.text
    secrets = [secret, secret_in(page)]
    app = RelyingParty(await signed_in(service, "bob"), "wiki")
    for each in secrets:
        form = {"grant_type": "authorization_code", "code": await app.code(), "code_verifier": VERIFIER}
        tokens = await app.browser.post("/oauth2/token", data=form, auth=("wiki", each))
        assert tokens.status_code == 200
    assert f'<a href="/admin/users/{cast.bob.id}">bob</a>' in (await admin.get("/admin/clients/wiki")).text
    await admin.post("/admin/clients/wiki/disable")
    assert (await app.userinfo(tokens.json()["access_token"])).status_code == 401
    assert (await app.authorize()).status_code == 400
    await admin.post("/admin/clients/wiki/enable")
    assert (await app.userinfo(tokens.json()["access_token"])).status_code == 200
    assert "Remove The wiki?" in (await admin.get("/admin/clients/wiki/remove")).text
    assert (await admin.post("/admin/clients/wiki/remove")).headers["location"] == "/admin/clients"
    assert "The wiki" not in (await admin.get("/admin/clients")).text.partition('role="status"')[2].partition("</p>")[2]
    entries = [entry.event for entry in (await service.state["audit"].page()).entries]
    expected = ["client_created", "client_changed", "client_secret_created", "consent_given", "client_removed"]
    assert [event for event in reversed(entries) if event.startswith(("client_", "consent_"))] == [
        *expected[:4], "client_changed", "client_changed", expected[4],
    ]  # fmt: skip


async def test_recreated_client_inherits_nothing_of_the_former_one(
    service: Running, cast: Cast, admin: httpx.AsyncClient, clock: Clock
) -> None:
    table = {"id": "wiki", "redirect_uris": [BACK], "public": True}
    app = RelyingParty(await signed_in(service, "bob"), "wiki")
    await admin.post("/api/clients", json=table | {"first_party": True})
    form = {"grant_type": "authorization_code", "client_id": "wiki", "code_verifier": VERIFIER}
    tokens = (await app.browser.post("/oauth2/token", data=form | {"code": await app.code()})).json()
    await admin.delete("/api/clients/wiki")
    clock.move(1)
    await admin.post("/api/clients", json=table)
    assert (await app.userinfo(tokens["access_token"])).status_code == 401
    assert (await app.authorize()).status_code == 200  # the question


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"redirect_uris": "javascript:alert(1)"}, 'id="redirect_uris-error">At least one'),
        ({"redirect_uris": ""}, 'id="redirect_uris-error">At least one'),
        ({"id": "app"}, "There is a client with this id already."),
        ({"id": "<b>"}, 'id="id-error">An ID has 1 to 64 letters'),
    ],
)
async def test_wrong_field_is_named_and_typed_values_stay(
    admin: httpx.AsyncClient, changes: dict[str, str], said: str
) -> None:
    page = await admin.post("/admin/clients", data=NEW | changes)
    assert page.status_code == 400
    assert said in page.text
    assert 'value="Wiki"' in page.text


async def test_clients_of_the_settings_are_shown_and_not_changed(admin: httpx.AsyncClient) -> None:
    assert "change it there" in (await admin.get("/admin/clients/app")).text
    assert (await admin.post("/admin/clients/app", data=FORM)).status_code == 400
    assert (await admin.post("/admin/clients/app/remove")).status_code == 409
    assert (await admin.get("/admin/clients/app/remove")).status_code == 409
    assert (await admin.get("/admin/clients/none")).status_code == 404
    assert (await admin.post("/admin/clients/app/nothing")).status_code == 400


async def test_clients_page_needs_an_administrator_with_a_recent_proof(
    service: Running, admin: httpx.AsyncClient, clock: Clock
) -> None:
    bob = await signed_in(service, "bob")
    assert (await bob.get("/admin/clients")).status_code == 403
    assert (await bob.post("/admin/clients", data=NEW)).status_code == 403
    clock.move(700)
    page = await admin.post("/admin/clients", data=NEW)
    assert page.status_code == 401
    assert (await admin.get("/api/clients/wiki")).status_code == 404
