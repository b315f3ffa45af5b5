"""A stranger signs in with a passkey, loses it, and gets back in by a recovery code."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor, link_of
from tests.helpers.cast import PASSWORD
from tests.helpers.service import Process

pytestmark = [pytest.mark.browser, pytest.mark.slow]
KEY = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Sign out").click()


def test_a_passkey_is_added_used_and_lost(fresh: Process, meet: Callable[..., Visitor]) -> None:
    home = fresh.url().replace("127.0.0.1", "localhost")
    page = meet().tab(link_of(fresh).replace("127.0.0.1", "localhost"))
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    key = devtools.send("WebAuthn.addVirtualAuthenticator", {"options": KEY})["authenticatorId"]
    page.get_by_label("Username").fill("alice")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("main").get_by_role("button").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()

    page.goto(f"{home}/account/security")
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_label("Name of the passkey")).to_have_value("laptop")
    code, *others = page.locator("#secret").inner_text().splitlines()
    assert [len(each) for each in (code, *others)] == [29] * 10, "a line for each code"
    sign_out(page)

    page.goto(f"{home}/sign-in?next=/account/devices")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page).to_have_url(f"{home}/account/devices")
    expect(page.get_by_role("row").filter(has_text="This device")).to_contain_text("with a passkey")
    sign_out(page)

    devtools.send("WebAuthn.clearCredentials", {"authenticatorId": key})
    page.goto(f"{home}/sign-in?next=/account/security")
    page.get_by_label("Username").fill("alice")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_label("Recovery code").fill(code)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page).to_have_url(f"{home}/account/security")
    expect(page.get_by_text("9 codes are left.")).to_be_visible()
    page.get_by_role("link", name="Remove: laptop").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_text("9 codes are left.")).to_have_count(0)
