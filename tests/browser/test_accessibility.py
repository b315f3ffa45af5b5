"""What axe finds wrong with the pages, and what small screens and fingers need."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import LINK, Visitor, forgive, link_of
from tests.fakes.smtp import SmtpFake
from tests.helpers.cast import PASSWORD
from tests.helpers.service import Process, process
from tests.helpers.sockets import free_port
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.slow]
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


@pytest.fixture
def fresh(short_folder: Path, server: Valkey, mail_server: SmtpFake) -> Iterator[Process]:
    """A service with a mail server that nobody administers yet."""
    port = free_port()
    mail = {"smtp_url": mail_server.url, "mail_from": "ann@example.com", "public_url": f"http://127.0.0.1:{port}"}
    with process(short_folder / "accounts", port=str(port), redis_url=server.url, **mail) as service:
        until(lambda: LINK.search(service.output) is not None)
        service.url()
        yield service


def mailed(mail_server: SmtpFake, path: str) -> str:
    """The path and query of the last mail's link, once it is there."""
    found = re.compile(rf"{path}\?\S+")
    until(lambda: bool(mail_server.mails) and found.search(mail_server.mails[-1].get_content()) is not None)
    link = found.search(mail_server.mails[-1].get_content())
    assert link is not None
    return link[0]


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


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_accessible(
    meet: Callable[..., Visitor], fresh: Process, mail_server: SmtpFake, look: str
) -> None:
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
        "/forgot-password",
        "/forgot-password?sent",
    ):
        page.goto(f"{fresh.url()}{path}")
        check(page, look)
    page.goto(f"{fresh.url()}/account")
    page.locator("#email").fill("alice@example.com")
    page.locator("#email").press("Enter")
    link = mailed(mail_server, "/verify-email")
    expect(page.locator("form[action='/account/verify-email']")).to_be_visible()
    check(page, look)
    page.goto(f"{fresh.url()}{link}")
    check(page, look)
    page.get_by_role("main").get_by_role("button").click()
    expect(page.get_by_role("status")).to_be_visible()
    check(page, look)
    page.goto(f"{fresh.url()}/forgot-password")
    page.locator("#login").fill("alice")
    page.get_by_role("main").get_by_role("button").click()
    page.goto(f"{fresh.url()}{mailed(mail_server, '/reset')}")
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
