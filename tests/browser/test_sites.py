"""The pages of sites, as axe, phones and eyes see them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor, forgive, link_of
from tests.browser.test_accessibility import LOOKS, check
from tests.helpers.cast import PASSWORD
from tests.helpers.service import Process
from tests.sites.conftest import CHROME

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LONG_PATH = "/" + "猫狗鱼鸟很长的路径" * 20 + "x" * 120


@pytest.mark.slow
@pytest.mark.parametrize("look", LOOKS)
def test_site_pages_are_accessible(meet: Callable[..., Visitor], fresh: Process, look: str, tmp_path: Path) -> None:
    alice = meet(reduced_motion="reduce", **LOOKS[look])
    page = alice.tab(link_of(fresh))
    page.locator("#username").fill("alice")
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button").click()
    page.goto(f"{fresh.url()}/sites")
    check(page, look)
    page.locator("#name").fill("Garden")
    page.locator("#hosts").fill("garden.example")
    page.locator("form.form button").click()
    expect(page.locator("code.token").first).to_be_visible()
    check(page, look)
    site = page.url.split("/")[-2]
    request = page.context.request
    for number in range(12):
        hit: dict[str, Any] = {
            "p": (LONG_PATH, "/post-1", "/post-2")[number % 3],
            "r": "https://news.example/",
            "w": "1600",
        }
        assert request.get(f"{fresh.url()}/c/{site}", params=hit, headers={"User-Agent": CHROME}).ok
    page.goto(f"{fresh.url()}/sites/{site}")
    expect(page.locator(".chart")).to_be_visible()
    expect(page.locator(".newest li").first).to_be_visible()
    check(page, look)
    chart = page.locator(".chart").bounding_box()
    assert chart is not None
    page.mouse.move(chart["x"] + chart["width"] - 5, chart["y"] + chart["height"] / 2)
    expect(page.locator(".plot .told")).to_contain_text("12")
    page.screenshot(path=tmp_path / f"{look}.png", full_page=True)
    of_page = f"/sites/{site}?path={quote(LONG_PATH)}"
    for path in ("/sites", f"/sites/{site}?period=today", of_page, f"/sites/{site}/transfer", f"/sites/{site}/remove"):
        page.goto(fresh.url() + path)
        check(page, look)
    page.emulate_media(media="print", color_scheme="dark")
    page.goto(f"{fresh.url()}/sites/{site}")
    expect(page.locator(".chart")).to_be_visible()
    for part in (".periods", ".tabs", ".bar nav", "footer", ".figures .live", ".newest"):
        expect(page.locator(part)).to_be_hidden()
    expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
    expect(page.locator("h1")).to_have_css("color", "rgb(20, 36, 28)")


def test_new_site_has_the_time_zone_of_the_browser(meet: Callable[..., Visitor], fresh: Process) -> None:
    page = meet(timezone_id="Asia/Shanghai").tab(link_of(fresh))
    page.locator("#username").fill("alice")
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button").click()
    page.goto(f"{fresh.url()}/sites")
    page.locator("#name").fill("Garden")
    page.locator("#hosts").fill("garden.example")
    page.locator("form.form button").click()
    expect(page.locator("#time_zone")).to_have_value("Asia/Shanghai")


def test_first_visit_appears_without_a_reload(meet: Callable[..., Visitor], fresh: Process) -> None:
    page = meet().tab(link_of(fresh))
    page.locator("#username").fill("alice")
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button").click()
    request = page.context.request
    made = request.post(f"{fresh.url()}/api/sites", data={"name": "Garden", "hosts": ["garden.example"]}).json()
    page.goto(f"{fresh.url()}/sites/{made['id']}")
    today = page.locator(".figures .live strong")
    expect(today).to_have_text("0")
    assert request.get(made["hit"], params={"p": "/a"}, headers={"User-Agent": CHROME}).ok
    expect(today).to_have_text("1")
    for number in page.locator(".figures strong").all():
        expect(number).to_have_text("1")
    expect(page.locator(".chart")).to_be_visible()
    expect(page.locator("[data-part=pages] tbody")).to_contain_text("/a")
    expect(page.locator("[data-nothing]")).to_have_count(0)


def test_range_that_is_drawn_over_is_shown(meet: Callable[..., Visitor], fresh: Process) -> None:
    page = meet(has_touch=True).tab(link_of(fresh))
    page.locator("#username").fill("alice")
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button").click()
    request = page.context.request
    made = request.post(
        f"{fresh.url()}/api/sites", data={"name": "Garden", "hosts": ["garden.example"], "public": True}
    ).json()
    file = "path,visits,date\n" + "".join(f"/a,{day},2026-03-{day:02}\n" for day in range(1, 11))
    assert request.post(f"{fresh.url()}/api/sites/{made['id']}/imports", data=file).ok
    page.goto(f"{fresh.url()}/sites/{made['id']}?from=2026-03-01&to=2026-03-10&path=/a")
    box = page.locator(".chart").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.25, middle)
    expect(page.locator(".told")).to_contain_text("3 Mar 2026 · Visits 3")
    page.locator("h1").hover()
    expect(page.locator(".told")).to_have_count(0)
    page.touchscreen.tap(box["x"] + box["width"] * 0.15, middle)
    expect(page.locator(".told")).to_contain_text("2 Mar 2026 · Visits 2")
    page.mouse.move(box["x"] + box["width"] * 0.25, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.45, middle)
    expect(page.locator(".told")).to_contain_text("Visits 12")
    page.mouse.up()
    page.wait_for_url("**/sites/*?from=2026-03-03&to=2026-03-05&path=/a")
    expect(page.locator(".figures strong").first).to_have_text("12")


def test_a_file_is_looked_at_and_imported_by_the_page(
    meet: Callable[..., Visitor], fresh: Process, tmp_path: Path
) -> None:
    alice = meet()
    page = alice.tab(link_of(fresh))
    page.locator("#username").fill("alice")
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button").click()
    made = page.context.request.post(
        f"{fresh.url()}/api/sites", data={"name": "Garden", "hosts": ["garden.example"]}
    ).json()
    page.goto(f"{fresh.url()}/sites/{made['id']}/transfer")
    file = tmp_path / "export.csv"
    file.write_text("path,visits\n/a,1234\n")
    page.locator("#file").set_input_files(file)
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#upload [role=status]")).to_contain_text("1,234 visits of 1 pages would be added.")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator("#upload [role=status]")).to_contain_text("1,234 visits have been added.")
    expect(page.locator("#imported")).to_contain_text("1,234 visits of 1 pages")
    file.write_text("path,visits\n/a,many\n")
    page.locator("#file").set_input_files(file)
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#upload [role=status]")).to_contain_text("line 2")
    forgive(alice, 400)
    page.locator("#upload").evaluate("form => { form.dataset.most = 5 }")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#upload [role=status]")).to_have_text("A file may have at most 256 MB.")
