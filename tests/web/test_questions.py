"""One question before each act that cannot be undone: every form of every page."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest
from starlette.routing import Route

from app.accounts.second_factors.passkeys import Passkey
from app.accounts.second_factors.totp import new_totp_secret
from app.accounts.users.identities import Identity
from app.accounts.users.search import UserFilter
from app.routes import all_routes
from app.settings import Settings
from tests.helpers.cast import Cast, make_cast, signed_in
from tests.helpers.forms import Form, Forms
from tests.helpers.service import Running, running

ASKED = {
    "/account/devices/end", "/account/devices/end-others", "/account/identities/unlink", "/account/recovery-codes",
    "/account/remove", "/account/security/remove", "/account/services", "/account/tokens/revoke",
    "/admin/clients/{id}/{action}", "/admin/invitations/{id}/withdraw", "/admin/services/{id}/remove",
    "/admin/services/{id}/tokens/revoke", "/admin/users/bulk", "/admin/users/{id}", "/admin/users/{id}/remove",
    "/admin/webhooks/{id}", "/sites/{id}/imports/undo", "/sites/{id}/shares/withdraw", "/sites/{id}/{action}",
}  # fmt: skip
"""Acts that cannot be undone, alone or beside others."""
HARMLESS = {
    "/account", "/account/export", "/account/identities/{provider}", "/account/name", "/account/passkeys/new",
    "/account/passkeys/rename", "/account/password", "/account/profile", "/account/security/continue",
    "/account/tokens", "/account/totp/new", "/account/verify-email", "/admin/clients",
    "/admin/clients/registration", "/admin/clients/{id}",
    "/admin/invitations", "/admin/services", "/admin/services/{id}/grants", "/admin/services/{id}/tokens",
    "/admin/users/{id}/profile", "/admin/users/{id}/reset-link", "/admin/webhooks", "/admin/wechat/{account}/refresh",
    "/config", "/config/{ns}", "/config/{ns}/access", "/config/{ns}/rollback", "/config/{ns}/schema",
    "/config/{ns}/values", "/confirm", "/confirm/provider", "/device", "/forgot-password", "/language",
    "/oauth2/consent",
    "/oauth2/sign-out", "/reset", "/setup", "/sign-in", "/sign-in/passkey", "/sign-in/second-factor", "/sign-out",
    "/sign-up", "/sites", "/sites/{id}/people", "/sites/{id}/settings", "/sites/{id}/shares", "/verify-email",
    "/.tallygate/sign-out",
}  # fmt: skip
"""They add, or what they change can be changed back, or they are the end of a sign-in."""
PROGRAMS = re.compile(
    "/api$|/(api|c|busuanzi|countapi|g|verify|wechat)/|/oauth/{provider}/"
    "|/oauth2/(userinfo|introspect|revoke|token|par|device_authorization|register|authorize|end-session)$"
)
"""Addresses of programs, and of browsers on their way between sites."""
BROWSER = {"Accept": "text/html"}


def test_every_form_is_known_to_be_asked_about_or_harmless() -> None:
    posts = {route.path for route in all_routes() if isinstance(route, Route) and "POST" in (route.methods or ())}
    assert {path for path in posts if not PROGRAMS.match(path)} == ASKED | HARMLESS


async def some_of_everything(service: Running, cast: Cast, alice: httpx.AsyncClient) -> list[str]:
    """Makes what can be ended, revoked or removed. Returns the pages that lead to it."""
    state = service.state
    await signed_in(service, "alice")
    await alice.post("/api/account/tokens", json={"name": "backup"})
    await state["identities"].link(cast.alice.id, Identity("https://idp.example", "1", "corp", "Ann Lee"))
    await state["second_factors"].set_totp(cast.alice.id, new_totp_secret(), 1)
    await state["second_factors"].set_totp(cast.bob.id, new_totp_secret(), 1)
    await state["second_factors"].add_passkey(cast.alice.id, Passkey("aWQ", "laptop", "", 0, created=1.0))
    await state["accounts"].set_admin(cast.charlie.id, True)
    await state["oauth_server"].store.use_grant(cast.alice.id, "wiki", ("openid",), None)
    await alice.post("/admin/clients", data={"name": "Wiki", "redirect_uris": "https://w.example/x", "kind": "server"})
    await alice.post("/admin/invitations", data={"days": "7"})
    service_page = (await alice.post("/admin/services", data={"name": "orders"})).headers["location"]
    await alice.post(f"{service_page}/tokens", data={"name": "prod", "days": "30"})
    made = await alice.post("/admin/webhooks", data={"url": "https://hooks.example/", "events": "*"})
    webhook_page = made.headers["location"].partition("?")[0]
    await alice.post(webhook_page, data={"action": "secret"})
    site_page = (await alice.post("/sites", data={"name": "Harbour", "hosts": "harbour.example"})).headers["location"]
    site = site_page.split("/")[2]
    await alice.post(f"/sites/{site}/shares")
    day = datetime.now(UTC).date()
    await alice.post(f"/api/sites/{site}/imports", content=f"path,visits,visitors,date\n/,1,1,{day}\n".encode())
    users = [f"/admin/users/{user.id}" for user in (cast.bob, cast.charlie)]
    bulk = [f"/admin/users/bulk?user={cast.bob.id}&group=ops&action={action}" for action in ("disable", "join")]
    return [
        "/account", "/account/devices", "/account/tokens", "/account/security", "/account/services/withdraw?id=wiki",
        "/account/services", "/admin/users",
        "/admin/invitations", "/admin/services", "/admin/webhooks", "/admin/clients", "/sites", service_page,
        webhook_page, site_page, f"/sites/{site}/transfer", *users, *bulk,
        *re.findall(r'"(/admin/clients/client-[^"/]+)"', (await alice.get("/admin/clients")).text),
    ]  # fmt: skip


def question_of(page: httpx.Response) -> Form | None:
    found = [form for form in Forms(page.text).forms if "question" in form.kind]
    return found[0] if found else None


def route_of(action: str) -> str:
    """The template of a form's address."""
    scope = {"type": "http", "method": "POST", "path": action.partition("?")[0]}
    for route in all_routes():
        if isinstance(route, Route) and route.matches(scope)[0].value == 2:
            return route.path
    raise AssertionError(action)


async def questions(alice: httpx.AsyncClient, pages: list[str]) -> dict[str, Form]:
    """The questions that the pages lead to. Nothing else on the pages looks dangerous."""
    found: dict[str, Form] = {}
    for path in pages:
        page = await alice.get(path, headers=BROWSER)
        assert page.status_code == 200, path
        read, own = Forms(page.text), question_of(page)
        if own is not None:
            found[path] = own
            continue
        assert [form for form in read.forms if any("danger" in kind for kind in form.buttons)] == [], path
        for address, kind in read.links:
            if address.startswith("/") and not address.startswith(("/api", "/static")):
                asked = question_of(await alice.get(address, headers=BROWSER))
                found |= {address: asked} if asked is not None else {}
            assert "danger" not in kind or address in found, (path, address)
    return found


def last_things_last(address: str) -> tuple[bool, bool]:
    return address == "/account/remove", "/remove" in address or "/reset" in address


@pytest.mark.slow
async def test_a_question_is_a_page_its_answer_redirects_and_a_reload_repeats_nothing(
    make_settings: Callable[..., Settings],
) -> None:
    async with running(make_settings()) as service:
        cast = await make_cast(service)
        alice = await signed_in(service, "alice")
        pages = await some_of_everything(service, cast, alice)
        found = await questions(alice, pages)
        assert {route_of(form.action) for form in found.values()} == ASKED
        assert (await questions(alice, pages)).keys() == found.keys()  # to ask changes nothing
        names = {"/account/remove": "alice", f"/admin/users/{cast.bob.id}/remove": "bob"}
        for address in sorted(found, key=last_things_last):
            form = found[address]
            assert (form.method, len(form.buttons)) == ("post", 1), address
            if cast.charlie.id in address:  # an administrator who stays
                continue
            typed = {"name": names.get(address, "orders")} if "name" in form.fields else {}
            answer = await alice.post(form.action, data=form.fields | typed, headers=BROWSER)
            assert answer.status_code == 303, (address, answer.text)
        assert [user.name for user in (await service.state["user_search"].find(UserFilter())).users] == ["charlie"]
