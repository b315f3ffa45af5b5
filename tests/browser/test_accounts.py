"""A person makes the first account, signs in on two devices, and throws one of them out."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.web.i18n import Locales
from tests.browser.conftest import LINK, Visitor, forgive, link_of
from tests.helpers.cast import PASSWORD
from tests.helpers.service import Process, process
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Meet = Callable[..., Visitor]
Say = Callable[[str], str]
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Mobile Safari/604.1"


def fill(page: Page, say: Say, name: str, password: str, button: str) -> None:
    page.get_by_label(say("Username")).fill(name)
    page.get_by_label(say("Password"), exact=True).fill(password)
    page.get_by_role("main").get_by_role("button", name=say(button)).click()


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "plain"])
@pytest.mark.parametrize("locale", ["en", "zh"])
def test_setup_link_sign_in_and_ending_a_device(fresh: Process, meet: Meet, locale: str, javascript: bool) -> None:
    say = partial(Locales().translate, locale)
    laptop = meet(locale=locale, java_script_enabled=javascript)
    page = laptop.tab(link_of(fresh))
    expect(page.locator("html")).to_have_attribute("lang", locale)
    fill(page, say, "alice", PASSWORD, "Create the administrator")
    page.get_by_role("link", name=say("Administration")).click()
    expect(page.get_by_role("row", name="alice")).to_contain_text(say("Administrator"))
    page.get_by_role("button", name=say("Sign out")).click()
    expect(page.get_by_role("link", name=say("Sign in"))).to_be_visible()

    page.goto(f"{fresh.url()}/account/devices")
    fill(page, say, "alice", "not that", "Sign in")
    expect(page.get_by_text(say("The username or password is wrong."))).to_be_visible()
    expect(page.get_by_label(say("Username"))).to_have_value("alice")
    expect(page.get_by_label(say("Password"), exact=True)).to_be_focused()
    forgive(laptop, 401)
    fill(page, say, "alice", PASSWORD, "Sign in")
    expect(page).to_have_url(f"{fresh.url()}/account/devices")
    expect(page.get_by_role("status")).to_have_text(say("You are signed in."))
    expect(page.get_by_text(say("You are not signed in on other devices."))).to_be_visible()

    phone = meet(locale=locale, java_script_enabled=javascript, user_agent=PHONE)
    other = phone.tab(f"{fresh.url()}/sign-in")
    fill(other, say, "alice", PASSWORD, "Sign in")
    expect(other.get_by_role("status")).to_have_text(say("You are signed in."))
    other.reload()
    expect(other.get_by_role("status")).to_have_count(0)
    expect(other.get_by_role("link", name="alice")).to_be_visible()

    page.reload()
    row = page.get_by_role("row").filter(has_text="iPhone")
    row.get_by_role("link").click()
    page.get_by_role("button", name=say("End the session")).click()
    expect(page.get_by_role("row").filter(has_text="iPhone")).to_have_count(0)
    expect(page.get_by_text(say("This device"))).to_be_visible()
    other.get_by_role("link", name="alice").click()
    expect(other).to_have_url(f"{fresh.url()}/sign-in?next=/account")
    expect(other.get_by_role("heading", name=say("Sign in"))).to_be_visible()


def test_setup_link_is_used_once(fresh: Process, meet: Meet) -> None:
    alice, eve = meet(), meet()
    page, late = alice.tab(link_of(fresh)), eve.tab(link_of(fresh))
    fill(page, str, "alice", PASSWORD, "Create the administrator")
    expect(page.get_by_role("link", name="alice")).to_be_visible()
    fill(late, str, "eve", PASSWORD, "Create the administrator")
    expect(late.get_by_role("heading", name="Page not found")).to_be_visible()
    forgive(eve, 404)


def test_a_password_is_changed_and_a_token_made(fresh: Process, meet: Meet) -> None:
    alice = meet()
    page = alice.tab(link_of(fresh))
    fill(page, str, "alice", PASSWORD, "Create the administrator")
    page.get_by_role("link", name="alice").click()
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_label("New password").fill("12345678")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_label("New password")).to_be_focused()
    forgive(alice, 400)
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_label("New password").fill("a lamp beside the harbour")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_role("status")).to_have_text("Your password has been changed.")
    page.get_by_role("link", name="API tokens").click()
    page.get_by_label("Name", exact=True).fill("backup")
    page.get_by_role("button", name="Create the token").click()
    expect(page.locator("code.token")).to_have_text(re.compile("tgt_[A-Za-z0-9_-]{43}"))
    page.get_by_role("link", name="Revoke: backup").click()
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("You have no tokens.")).to_be_visible()


def test_an_invited_person_signs_up_and_is_disabled(meet: Meet, short_folder: Path, server: Valkey) -> None:
    settings = {"port": "0", "redis_url": server.url, "registration": "invitation"}
    with process(short_folder / "invited", **settings) as service:
        until(lambda: LINK.search(service.output) is not None)
        service.url()
        page = meet().tab(link_of(service))
        fill(page, str, "alice", PASSWORD, "Create the administrator")
        page.get_by_role("link", name="Administration").click()
        page.get_by_role("link", name="Invitations").click()
        page.get_by_role("button", name="Create the link").click()
        link = page.locator("code.token").inner_text()
        guest = meet()
        other = guest.tab(link)
        fill(other, str, "bob", PASSWORD, "Create the account")
        expect(other.get_by_role("link", name="bob")).to_be_visible()
        page.get_by_role("link", name="Users").click()
        page.get_by_label("Name or e-mail address").fill("ob")
        page.get_by_role("button", name="Search").click()
        page.get_by_label("Choose bob").check()
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_role("heading")).to_have_text("Disable these accounts?")
        page.get_by_role("link", name="Cancel").click()
        expect(page.get_by_role("row", name="bob")).not_to_contain_text("Disabled")
        page.get_by_label("Choose bob").check()
        page.get_by_role("button", name="Continue").click()
        page.get_by_role("button", name="Disable").click()
        expect(page).to_have_url(f"{service.url()}/admin/users?q=ob")
        expect(page.get_by_role("status")).to_contain_text("Saved for all chosen accounts.")
        expect(page.get_by_role("row", name="bob")).to_contain_text("Disabled")
        other.goto(f"{service.url()}/account")
        fill(other, str, "bob", PASSWORD, "Sign in")
        expect(other.get_by_text("The username or password is wrong.")).to_be_visible()
        forgive(guest, 401)
        page.get_by_role("link", name="Audit log").click()
        expect(page.get_by_role("row").nth(1)).to_contain_text("Sign-in failed")
