"""Re-authentication: one page asks for a proof, and the form goes through afterwards."""

import re
from html import unescape
from typing import Any

import httpx
import pytest

from app.accounts.sign_in.waiting_forms import WaitingForm
from app.web.templating import FORM_USER
from tests.accounts.conftest import Start
from tests.accounts.pages.reading import error_at, shown_secret
from tests.helpers.cast import PASSWORD, make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running

TITLE = "Confirm it's you, {}"
ACTS: list[tuple[str, dict[str, Any]]] = [
    ("/account/tokens", {"name": "backup", "days": "30"}),
    ("/account/tokens/revoke", {"id": "x"}),
    ("/account/name", {"username": "alicia"}),
    ("/account/identities/unlink", {"id": "x"}),
    ("/account/devices/end", {"key": "x"}),
    ("/account/devices/end-others", {}),
    ("/admin/invitations", {"days": "7"}),
    ("/admin/users/{bob}", {"action": "make-admin", "next": "/admin/users"}),
    ("/admin/users/{bob}", {"action": "disable", "next": "/admin/users"}),
]


def sent_again(page: httpx.Response, **more: str) -> dict[str, str]:
    """What the page's first form sends."""
    form = page.text.partition('<form class="card form"')[2].partition("</form>")[0]
    names = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form)
    return {name: unescape(value) for name, value in names if name != FORM_USER} | more


@pytest.fixture
async def old(start: Start, clock: Clock) -> Any:
    """(the service, alice's browser whose session is old, the path's names)."""
    async with start(registration="invitation") as service:
        cast = await make_cast(service)
        browser = await signed_in(service, "alice")
        clock.move(601)
        yield service, browser, {"bob": cast.bob.id}


@pytest.mark.parametrize(("path", "fields"), ACTS)
async def test_stale_session_reauthenticates_before_each_act(
    old: tuple[Running, httpx.AsyncClient, dict[str, str]], path: str, fields: dict[str, str]
) -> None:
    service, browser, names = old
    page = await browser.post(path.format(**names), data=fields)
    assert page.status_code == 401
    assert TITLE.format("alice") in page.text
    assert sent_again(page) == fields
    assert f'action="{path.format(**names)}"' in page.text
    assert (await service.state["accounts"].by_name("bob")).is_admin is False


async def test_kept_form_is_sent_after_the_password(
    old: tuple[Running, httpx.AsyncClient, dict[str, str]],
) -> None:
    _, browser, _ = old
    before = browser.cookies["tallygate"]
    page = await browser.post("/account/tokens", data={"name": "a <b> & c", "days": "30"})
    done = await browser.post("/account/tokens", data=sent_again(page, confirm_password=PASSWORD))
    assert done.status_code == 303
    done = await browser.get(done.headers["location"])
    assert shown_secret(done).startswith("tgt_")
    assert [each["name"] for each in (await browser.get("/api/account/tokens")).json()] == ["a <b> & c"]
    # The session goes on under a new id and is fresh; the former id is dead.
    assert browser.cookies["tallygate"] != before
    assert (await browser.post("/account/name", data={"username": "alicia"})).status_code == 303


async def test_a_wrong_password_asks_again_and_is_limited(
    old: tuple[Running, httpx.AsyncClient, dict[str, str]],
) -> None:
    service, browser, _ = old
    fields = {"name": "backup", "days": "30", "confirm_password": "wrong"}
    for _ in range(10):
        page = await browser.post("/account/tokens", data=fields)
        assert page.status_code == 401
        assert error_at(page, "confirm_password") == "The password is wrong."
        assert "wrong" not in sent_again(page).values()
    assert (await browser.post("/account/tokens", data=fields | {"confirm_password": PASSWORD})).status_code == 429
    assert (await browser.get("/api/account/tokens")).json() == []
    entries = (await service.state["audit"].page()).entries
    assert [entry.detail for entry in entries if entry.event == "sign_in_failed"] == ["confirm"] * 10


async def test_confirm_page_without_a_form_redirects(old: tuple[Running, httpx.AsyncClient, dict[str, str]]) -> None:
    _, browser, _ = old
    page = await browser.get("/confirm?next=/account/tokens")
    assert page.status_code == 200
    answer = await browser.post("/confirm", data=sent_again(page, confirm_password=PASSWORD))
    assert (answer.status_code, answer.headers["location"]) == (303, "/account/tokens")
    assert (await browser.get("/confirm?next=/account")).headers["location"] == "/account"
    assert (await browser.get("/confirm?next=//evil.example")).headers["location"] == "/"


async def test_a_form_that_waits_is_its_users_only(old: tuple[Running, httpx.AsyncClient, dict[str, str]]) -> None:
    service, browser, names = old
    user = (await browser.get("/api/session")).json()["user"]["id"]
    keep = service.state["waiting_forms"].keep
    secret = await keep(WaitingForm(user, "/account/tokens", [("name", "backup"), ("days", "30")]))
    page = await browser.get(f"/confirm/resume?form={secret}")
    assert 'action="/account/tokens"' in page.text
    assert 'name="days" value="30"' in page.text
    others = await keep(WaitingForm(names["bob"], "/account/tokens", []))
    for bad in (others, "x", ""):
        assert (await browser.get(f"/confirm/resume?form={bad}")).status_code == 404


async def test_unknown_provider_is_refused(old: tuple[Running, httpx.AsyncClient, dict[str, str]]) -> None:
    _, browser, _ = old
    answer = await browser.post("/confirm/provider", data={"confirm_provider": "corp", "confirm_action": "/account"})
    assert answer.status_code == 400
