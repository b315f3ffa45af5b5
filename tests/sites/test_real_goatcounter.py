"""GoatCounter's own script, and ours in its place, in a real Chromium."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Dialog, expect

from tests.sites.test_real_pages import chromium, context, counted, counter, event_counted, web
from tests.sites.web import Web

__all__ = ["chromium", "context", "counter", "web"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def goatcounters_script() -> str:
    """count.js of GoatCounter 2.7, as its Go module has it."""
    if shutil.which("go") is None:
        pytest.skip("no Go here: apt-get install golang-go")
    command = ["go", "mod", "download", "-json", "zgo.at/goatcounter/v2@v2.7.0"]
    module = subprocess.run(command, capture_output=True, check=False, timeout=300)
    if module.returncode:
        pytest.skip("Go cannot download GoatCounter here")
    return (Path(json.loads(module.stdout)["Dir"]) / "public/count.js").read_text()


def test_goatcounters_own_script_counts_here(goatcounters_script: str, web: Web, context: BrowserContext) -> None:
    (web.folder / "count.js").write_text(goatcounters_script)
    context.add_init_script("Object.defineProperty(navigator, 'webdriver', {get: () => false})")  # which it skips
    at = f"{web.counter}/g/{web.site}/count"
    options = "<script>window.goatcounter = {allow_local: true}</script>"
    tag = f'{options}<script data-goatcounter="{at}" async src="count.js"></script>'
    page = context.new_page()
    page.goto(web.page("a.html", tag + '<button data-goatcounter-click="buy">Buy</button>'))
    counted(web, a_html=1)
    page.click("button")
    event_counted(web, "buy")
    page.evaluate("goatcounter.visit_count()")
    expect(page.frame_locator("iframe").locator("#gcvc-views")).to_have_text("1")


def test_goatcounters_attributes_work_with_our_script(web: Web, context: BrowserContext) -> None:
    at = f"{web.counter}/g/{web.site}/count"
    tag = f'<script data-goatcounter="{at}" async src="{at}.js"></script>'
    page = context.new_page()
    page.goto(web.page("a.html", tag + '<button data-goatcounter-click="buy">Buy</button><p></p>'))
    counted(web, a_html=1)
    page.click("button")
    event_counted(web, "buy")
    page.evaluate("goatcounter.visit_count()")
    expect(page.frame_locator("iframe").locator("#gcvc-views")).to_have_text("1")
    page.evaluate("goatcounter.visit_count({append: 'p', no_branding: 1, style: '#gcvc-for { display: none }'})")
    styled = page.frame_locator("p iframe")
    expect(styled.locator("#gcvc-views")).to_have_text("1")
    expect(styled.locator("#gcvc-for")).to_be_hidden()
    expect(styled.locator("#gcvc-by")).to_have_count(0)
    expect(page.locator("p iframe")).to_have_attribute("height", "60")


def test_goatcounters_opt_out_works_with_our_script(web: Web, context: BrowserContext) -> None:
    at = f"{web.counter}/g/{web.site}/count"
    address = web.page("a.html", f'<script data-goatcounter="{at}" async src="{at}.js"></script>')
    said: list[str] = []

    def hears(dialog: Dialog) -> None:
        said.append(dialog.message)
        dialog.accept()

    for visits in ({}, {"a_html": 1}):
        page = context.new_page()
        page.on("dialog", hears)
        page.goto(f"{address}#toggle-goatcounter")
        page.wait_for_function("!!window.goatcounter.visit_count")
        counted(web, **visits)
    assert [text.partition(" are ")[2] for text in said] == ["not counted.", "counted."]
