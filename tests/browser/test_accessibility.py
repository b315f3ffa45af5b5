"""What axe finds wrong with the pages, and what small screens and fingers need."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor, forgive, link_of
from tests.helpers.cast import PASSWORD
from tests.helpers.service import Process

pytestmark = pytest.mark.browser
LOOKS: dict[str, dict[str, Any]] = {
    "desk": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"},
    "phone": {"viewport": {"width": 375, "height": 812}, "color_scheme": "dark", "locale": "zh-CN"},
}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WIDTHS = (320, 640, 641, 768, 769, 1280)
"""CSS pixels, at both sides of each change of the layout: no page scrolls sideways."""
FINGER = 44
"""CSS pixels: what is pressed is as high as this on a phone (WCAG 2.2, 2.5.5). A checkbox is pressed by its label."""
TOO_SMALL = """least => [...document.querySelectorAll("a, button, input:not([type=hidden]), select, summary")]
  .filter((each) => !each.matches(".skip"))
  .map((each) => (each.type === "checkbox" ? each.closest("label") ?? each : each))
  .filter((each) => each.checkVisibility() && each.getBoundingClientRect().height < least - 0.5)
  .map((each) => each.outerHTML)"""


def check(page: Page, look: str) -> None:
    page.wait_for_load_state()
    found = Axe().run(page, options={"runOnly": RULES})
    assert found.response["violations"] == [], f"{page.url}\n{found.generate_report()}"
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{page.url} at {width}"
    page.set_viewport_size(LOOKS[look]["viewport"])
    if look == "phone":
        assert page.evaluate(TOO_SMALL, FINGER) == [], page.url


@pytest.mark.slow
@pytest.mark.parametrize("look", LOOKS)
def test_everybody_can_use_every_page(meet: Callable[..., Visitor], fresh: Process, look: str) -> None:
    alice = meet(reduced_motion="reduce", **LOOKS[look])
    page = alice.tab(link_of(fresh))
    check(page, look)
    page.locator("#username").fill("alice")
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button").click()
    expect(page.locator(".who")).to_be_visible()
    phone = meet().context.request
    assert phone.post(f"{fresh.url()}/api/session", data={"username": "alice", "password": PASSWORD}).ok
    page.goto(f"{fresh.url()}/account/tokens")
    page.locator("#name").fill("backup")
    page.get_by_role("main").get_by_role("button").click()
    expect(page.locator("code.token")).to_be_visible()
    check(page, look)
    assert page.context.request.post(f"{fresh.url()}/admin/invitations", form={"days": "30"}).ok
    for path in (
        "/",
        "/account",
        "/account/devices",
        "/account/security",
        "/account/totp/new",
        "/account/passkeys/new",
        "/admin/users",
        "/admin/invitations",
        "/admin/audit",
        "/admin/gateway",
        "/api",
        "/sign-in?again=1",
    ):
        page.goto(f"{fresh.url()}{path}")
        check(page, look)
    page.goto(f"{fresh.url()}/admin/users")
    page.locator("td a[href^='/admin/users/']").click()
    expect(page).to_have_title(re.compile("alice"))
    check(page, look)
    page.goto(f"{fresh.url()}/admin/invitations")
    page.locator(".actions a[href^='/admin/invitations/']").click()
    expect(page.locator("dd.name")).to_have_text("alice")
    check(page, look)
    page.goto(f"{fresh.url()}/nowhere")
    check(page, look)
    forgive(alice, 404)
