"""The pages of the configuration, as axe, phones and fingers see them."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor, link_of
from tests.browser.test_accessibility import LOOKS, check
from tests.helpers.cast import PASSWORD
from tests.helpers.service import Process

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SCHEMA: dict[str, Any] = {
    "properties": {
        "title": {"type": "string", "title": "Title", "description": "Above the shop."},
        "price": {"type": "number", "minimum": 0},
        "open": {"type": "boolean", "description": "Whether it sells."},
        "size": {"enum": ["small", "large"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "nested": {"type": "object"},
    }
}


@pytest.mark.slow
def test_configuration_pages_are_accessible(meet: Callable[..., Visitor], fresh: Process) -> None:
    look = "phone"
    alice = meet(reduced_motion="reduce", **LOOKS[look])
    page = alice.tab(link_of(fresh))
    page.locator("#username").fill("alice")
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button").click()
    expect(page.locator(".who")).to_be_visible()
    page.goto(f"{fresh.url()}/config")
    check(page, look)
    page.locator("#name").fill("shop")
    page.locator("form.form button").click()
    expect(page.get_by_role("heading", name="shop")).to_be_visible()
    assert page.context.request.put(f"{fresh.url()}/api/config/shop/schema", data=SCHEMA).ok
    page.reload()
    check(page, look)
    page.locator("#value-title").fill("Boutique")
    page.locator("#value-price").fill("5.5")
    page.get_by_role("switch").check()
    page.locator("#value-size").select_option("large")
    page.locator("#value-tags").fill("a\nb")
    page.locator("#form-why").fill("opening")
    page.locator("form[action$='/values'] button").click()
    expect(page.get_by_role("status")).to_be_visible()
    expect(page.locator("#value-price")).to_have_value("5.5")
    expect(page.get_by_role("switch")).to_be_checked()
    values = page.context.request.get(f"{fresh.url()}/api/config/shop").json()
    assert values == {"title": "Boutique", "price": 5.5, "open": True, "size": "large", "tags": ["a", "b"]}
    check(page, look)
    page.goto(f"{fresh.url()}/config/shop/compare?from=1&to=2")
    check(page, look)
    page.goto(f"{fresh.url()}/config/tallygate")
    page.locator("#value-announcement").fill("Maintenance at 22:00")
    page.locator("form[action$='/values'] button").click()
    expect(page.locator(".announcement")).to_have_text("Maintenance at 22:00")
    check(page, look)
    page.goto(f"{fresh.url()}/admin/webhooks")
    check(page, look)
