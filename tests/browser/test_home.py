"""A person opens the home page."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor, forgive
from tests.helpers.sockets import get

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Meet = Callable[..., Visitor]


def background(page: Page) -> int:
    """How bright the page is, from 0 to 765."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))


def test_home_page_shows_new_visits_live(url: str, meet: Meet) -> None:
    alice, bob = meet(), meet()
    first = alice.tab(url)
    expect(first.locator("#visits")).to_have_text("This is visit 1")
    second = bob.tab(url)
    expect(second.locator("#visits")).to_have_text("This is visit 2")
    expect(first.locator("#visits")).to_have_text("Visit 2 just now")
    expect(first.locator("#yours")).to_have_text("This was visit 1")
    assert get(url, {"Accept": "application/json"}).json() == {"visits": 3}
    for tab in (first, second):
        expect(tab.locator("#visits")).to_have_text("Visit 3 just now")


def test_two_tabs_share_one_stream(url: str, meet: Meet) -> None:
    alice = meet()
    first, second = alice.tab(url), alice.tab(url)
    expect(second.locator("#visits")).to_have_text("This is visit 2")
    expect(first.locator("#visits")).to_have_text("Visit 2 just now")
    first.close()
    get(url)
    expect(second.locator("#visits")).to_have_text("Visit 3 just now")


def test_language_switch_persists(url: str, meet: Meet) -> None:
    page = meet().tab(url)
    page.get_by_role("button", name="中文").click()
    expect(page.locator("#visits")).to_have_text("这是第 2 次访问")
    expect(page.locator("html")).to_have_attribute("lang", "zh")
    page.reload()
    expect(page.locator("#visits")).to_have_text("这是第 3 次访问")
    page.get_by_role("button", name="English").click()
    expect(page.locator("#visits")).to_have_text("This is visit 4")


def test_a_chinese_browser_is_answered_in_chinese(visited: str, meet: Meet) -> None:
    expect(meet(locale="zh-CN").tab(visited).locator("#visits")).to_contain_text("这是第 ")


def test_everything_works_without_javascript(url: str, meet: Meet) -> None:
    alice = meet(java_script_enabled=False)
    page = alice.tab(url)
    expect(page.locator("#visits")).to_have_text("This is visit 1")
    page.get_by_role("button", name="中文").click()
    expect(page.locator("#visits")).to_have_text("这是第 2 次访问")
    page.get_by_role("link", name="JSON").click()
    expect(page.locator("body")).to_contain_text('{"visits":2}')


def test_unknown_page_links_home(visited: str, meet: Meet) -> None:
    lost = meet()
    page = lost.tab(f"{visited}/nowhere")
    expect(page.get_by_role("heading")).to_have_text("Page not found")
    forgive(lost, 404)
    page.get_by_role("link", name="Back to the home page").click()
    expect(page.locator("#visits")).to_contain_text("This is visit ")


@pytest.mark.parametrize(
    "options", [{"width": 320, "height": 560}, {"width": 1280, "height": 800}], ids=["phone", "desk"]
)
def test_light_and_dark_fit_every_screen(options: Any, visited: str, meet: Meet) -> None:
    light = meet(viewport=options, color_scheme="light").tab(visited)
    dark = meet(viewport=options, color_scheme="dark").tab(visited)
    assert background(light) > 600
    assert background(dark) < 200
    for page in (light, dark):
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"


def test_the_keyboard_reaches_everything(visited: str, meet: Meet) -> None:
    page = meet().tab(visited)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
