"""A user's own profile and data: changed, exported, removed."""

import httpx
import pytest

from app.audit.log import Event
from tests.accounts.pages.reading import error_at, status, value_of
from tests.helpers.api import problem, program, token_for
from tests.helpers.cast import Cast, signed_in
from tests.helpers.service import Running


async def test_a_user_changes_the_own_name_and_address(bob: httpx.AsyncClient, service: Running, cast: Cast) -> None:
    await service.state["users"].set_email(cast.bob.id, "bob@example.com", verified=True)
    fields = {"display_name": "Bob  Lee", "email": "robert@example.com"}
    assert (await bob.post("/account/profile", data=fields)).status_code == 303
    page = await bob.get("/account")
    assert (value_of(page, "display_name"), value_of(page, "email")) == ("Bob Lee", "robert@example.com")
    assert "Your e-mail address is not verified." in page.text
    assert (await bob.patch("/api/account", json={"display_name": "Bobby"})).json() == {"display_name": "Bobby"}
    assert problem(await bob.patch("/api/account", json={"display_name": "x" * 200}), 400)["field"] == "display_name"
    wrong = await bob.post("/account/profile", data=fields | {"email": "nonsense"})
    assert (wrong.status_code, error_at(wrong, "email")) == (400, "This is not an e-mail address.")


async def test_user_exports_own_data(bob: httpx.AsyncClient, service: Running, cast: Cast) -> None:
    secret = await token_for(bob, name="backup")
    site = (await bob.post("/api/sites", json={"name": "Harbour", "hosts": ["harbour.example"]})).json()
    answer = await bob.post("/account/export")
    assert answer.headers["content-disposition"] == 'attachment; filename="account.json"'
    data = answer.json()
    assert data["user"]["name"] == "bob"
    assert [token["name"] for token in data["tokens"]] == ["backup"]
    assert data["sites"] == [{"id": site["id"], "name": "Harbour", "own": True}]
    assert {entry["event"] for entry in data["audit"]} == {"sign_in", "token_created"}
    assert secret not in answer.text
    assert (await bob.get("/api/account/export")).json().keys() == data.keys()


async def test_a_user_removes_the_own_account(bob: httpx.AsyncClient, service: Running, cast: Cast) -> None:
    phone = await signed_in(service, "bob")
    wrong = await bob.post("/account/remove", data={"name": "alice"}, headers={"Accept": "application/json"})
    assert problem(wrong, 400)["field"] == "name"
    answer = await bob.post("/account/remove", data={"name": "bob"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?notice=account-removed")
    assert [await status(bob), await status(phone)] == [401, 401]
    assert "Your account has been removed." in (await bob.get(answer.headers["location"])).text
    assert await service.state["accounts"].by_name("bob") is None
    newest = (await service.state["audit"].page(limit=1)).entries[0]
    assert (newest.event, newest.user, newest.detail) == (Event.USER_REMOVED, cast.bob.id, "bob")


async def test_last_administrator_and_token_callers_cannot_remove_the_account(
    alice: httpx.AsyncClient, service: Running, cast: Cast
) -> None:
    assert (await alice.post("/account/remove", data={"name": "alice"})).status_code == 409
    problem(await alice.delete("/api/account"), 409)
    assert await status(alice) == 200
    bob = await signed_in(service, "bob")
    token = program(service, await token_for(bob))
    problem(await token.delete("/api/account"), 401)
    assert (await bob.delete("/api/account")).status_code == 204
    assert await status(bob) == 401


@pytest.mark.parametrize(
    ("scopes", "allowed", "refused"),
    [
        (["read"], [("GET", "/api/account"), ("GET", "/api/sites")], [("POST", "/api/sites")]),
        (["sites:read"], [("GET", "/api/sites")], [("GET", "/api/account"), ("POST", "/api/sites")]),
        (["write"], [("GET", "/api/account"), ("POST", "/api/sites")], []),
        ([], [("GET", "/api/account"), ("POST", "/api/sites")], []),
        (["config:read"], [("GET", "/api/config")], [("GET", "/api/account"), ("GET", "/api/session")]),
    ],
)
async def test_token_scopes_limit_operations(
    bob: httpx.AsyncClient,
    service: Running,
    scopes: list[str],
    allowed: list[tuple[str, str]],
    refused: list[tuple[str, str]],
) -> None:
    token = program(service, await token_for(bob, scopes=scopes))
    body = {"name": "Harbour", "hosts": ["harbour.example"]}
    for method, path in allowed:
        answer = await token.request(method, path, json=body if method == "POST" else None)
        assert answer.status_code in {200, 201}, answer.text
    for method, path in refused:
        answer = await token.request(method, path, json=body if method != "GET" else None)
        assert "scope" in problem(answer, 403), (method, path)


async def test_token_page_shows_scopes_last_use_and_expiry(bob: httpx.AsyncClient, service: Running) -> None:
    form = {"name": "backup", "days": "1", "scope": ["sites:read"]}
    page = await bob.post("/account/tokens", data=form, follow_redirects=True)
    assert "<code>sites:read</code>" in page.text
    assert 'class="badge warn">soon' in page.text
    secret = page.text.partition('<code class="token">')[2].partition("</code>")[0]
    assert (await program(service, secret).get("/api/sites")).status_code == 200
    (token,) = (await bob.get("/api/account/tokens")).json()
    assert (token["scopes"], token["used_from"], token["used"] > 0) == (["sites:read"], "192.0.2.1", True)
    assert "192.0.2.1" in (await bob.get("/account/tokens")).text
    wrong = await bob.post("/account/tokens", data=form | {"scope": "all"}, headers={"Accept": "application/json"})
    assert problem(wrong, 400)["field"] == "scope"
    wrong = await bob.post("/api/account/tokens", json={"name": "x", "scopes": ["all"]})
    assert problem(wrong, 400)["field"].startswith("scopes")
