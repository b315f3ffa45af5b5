"""Pages that nobody here wrote, and our own script, in a real Chromium."""

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, expect

from app.sites.models import bucket_of
from app.store import keys
from tests.browser.conftest import CHROMIUMS, MILLISECONDS, chromium
from tests.helpers.service import process
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import until
from tests.sites.conftest import CHROME
from tests.sites.web import Web

__all__ = ["chromium"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
NPM = {
    "name": "blog",
    "version": "1.0.0",
    "private": True,
    "hexo": {"version": ""},
    "dependencies": {
        "busuanzi.pure.js": "1.0.3",
        "hexo": "8.1.2",
        "hexo-generator-index": "*",
        "hexo-renderer-ejs": "*",
        "hexo-renderer-marked": "*",
        "hexo-renderer-stylus": "*",
        "hexo-theme-fluid": "*",
    },
}


@pytest.fixture(scope="module")
def counter(short_folder: Path, shared_server: Valkey) -> Iterator[str]:
    """The service, at another host name than the pages."""
    with process(short_folder / "pages", port="0", host="localhost", redis_url=shared_server.url) as service:
        yield service.url().replace("127.0.0.1", "localhost")


@pytest.fixture
def web(tmp_path: Path, counter: str, server: Valkey) -> Iterator[Web]:
    """A site of this test's own: the service, which outlives the emptied Redis, may send its last hits again."""
    web = Web(tmp_path / "web", counter, f"{uuid.uuid4().int:010}"[:10], server)
    settings = orjson.dumps({"name": "Pages", "hosts": ["127.0.0.1", "localhost"], "time_zone": "UTC"})
    with server.client as client:
        record = {"settings": settings, "owner": "nobody", "created": time.time(), "revision": 0}
        client.hset(keys.site(bucket_of(web.site), web.site), mapping=record)
        client.hset(keys.SITES_HOSTS, mapping={"127.0.0.1": web.site, "localhost": web.site})
    yield web
    web.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(user_agent=CHROME)
    context.set_default_timeout(MILLISECONDS)
    yield context
    context.close()


def pages(web: Web) -> dict[str, int]:
    """Visits by path."""
    httpx.get(f"{web.counter}/c/{web.site}/count?p=/", timeout=PATIENCE)  # counts what waits for others
    with web.server.client as client:
        counts: Any = client.hgetall(web.key("pt:0"))
        listed: Any = client.lrange(web.key("names"), 0, -1)  # after the counts: it has a name for each of them
    names = [name.decode() for name in listed]
    return {names[int(field) // 2]: int(n) for field, n in counts.items() if int(field) % 2 == 0}


def counted(web: Web, **expected: int) -> None:
    """Waits for these visits, and that no more come."""
    wanted = {"/" + name.replace("_", "."): number for name, number in expected.items()}
    until(lambda: pages(web) == wanted)
    time.sleep(0.4)
    assert pages(web) == wanted


def event_counted(web: Web, name: str) -> None:
    def known() -> bool:
        pages(web)
        return any(client.hexists(key, f"e:{name}") for key in client.keys(web.key("top:*")))

    with web.server.client as client:
        until(known)


def script(web: Web, name: str = "") -> str:
    return f'<script async src="{web.counter}/c/{web.site}{name or ".js"}"></script>'


NUMBERS = '<p>page <b data-tally="page"></b> site <b data-tally="site"></b> visitors <b data-tally="visitors"></b></p>'


def test_our_script_counts_a_page_once_and_fills_in_the_numbers(web: Web, context: BrowserContext) -> None:
    address = web.page("a.html", NUMBERS + script(web) + script(web))
    page = context.new_page()
    page.goto(address)
    expect(page.locator("p")).to_have_text("page 1 site 1 visitors 1")
    page.goto(address + "?utm_source=letter")
    expect(page.locator("p")).to_have_text("page 2 site 2 visitors 1")
    counted(web, a_html=2)
    assert context.cookies() == []


def test_our_script_counts_navigation_within_the_page_and_going_back(web: Web, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(web.page("a.html", script(web)))
    counted(web, a_html=1)
    page.evaluate("history.pushState(null, '', '/b.html'); history.replaceState(null, '', '/b.html#x')")
    counted(web, a_html=1, b_html=1)
    page.go_back()
    counted(web, a_html=2, b_html=1)
    page.evaluate("tally.event('sign-up')")
    event_counted(web, "sign-up")


def test_opted_out_visitor_is_not_counted_until_opting_in(web: Web, context: BrowserContext) -> None:
    page = context.new_page()
    said: list[str] = []

    def hears(dialog: Dialog) -> None:
        said.append(dialog.message)
        dialog.accept()

    page.on("dialog", hears)
    address = web.page("a.html", script(web))
    page.goto(address + "#tally-off")
    page.wait_for_function("localStorage['tally-off']")
    page.goto(web.page("b.html", NUMBERS + script(web, "/main.js")))
    expect(page.locator("p")).to_have_text("page 0 site 0 visitors 0")
    assert pages(web) == {}
    page.goto(address + "#tally-off")
    until(lambda: len(said) == 2)
    counted(web, a_html=1)
    assert "not" in said[0]


def test_our_script_works_under_a_strict_policy(web: Web, context: BrowserContext) -> None:
    policy = f"default-src 'none'; script-src {web.counter}; connect-src {web.counter}"
    complaints: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    page.goto(web.page("a.html", head + NUMBERS + script(web, "/main.js")))
    expect(page.locator("p")).to_have_text("page 1 site 1 visitors 1")
    counted(web, a_html=1)
    assert [text for text in complaints if "favicon" not in text] == []


def test_page_that_is_restored_by_the_back_button_counts_again(web: Web, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(web.page("a.html", script(web)))
    counted(web, a_html=1)
    page.goto(web.page("b.html", script(web)))
    counted(web, a_html=1, b_html=1)
    page.go_back()
    counted(web, a_html=2, b_html=1)


@pytest.fixture(scope="module")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hexo blog with the theme Fluid, which has Busuanzi built in; and npm's busuanzi.pure.js."""
    if shutil.which("npm") is None:
        pytest.skip("no npm here: apt-get install npm")
    blog = tmp_path_factory.mktemp("blog")
    (blog / "package.json").write_text(json.dumps(NPM))
    (blog / "source/_posts").mkdir(parents=True)
    (blog / "source/_posts/first.md").write_text("---\ntitle: first\n---\nHello\n")
    installed = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--silent"],
        cwd=blog,
        capture_output=True,
        check=False,
        timeout=300,
    )
    if installed.returncode:
        pytest.skip("npm cannot install hexo here")
    return blog


@pytest.mark.slow
def test_hexo_blog_whose_theme_has_busuanzi_shows_our_numbers(npm: Path, web: Web, context: BrowserContext) -> None:
    (npm / "_config.yml").write_text(
        "title: Blog\npermalink: :title/\ntheme: fluid\nindex_generator: {path: '', per_page: 10, order_by: -date}\n"
    )
    (npm / "_config.fluid.yml").write_text(
        "footer: {statistics: {enable: true, source: busuanzi}}\npost: {meta: {views: {enable: true}}}\n"
        f"static_prefix: {{busuanzi: {web.counter}/busuanzi/2.3/}}\n"
    )
    subprocess.run(["npx", "hexo", "generate", "--force"], cwd=npm, check=True, capture_output=True, timeout=120)
    shutil.copytree(npm / "public", web.folder, dirs_exist_ok=True)
    page = context.new_page()
    page.goto(f"{web.url}/first/")
    _busuanzi_shows(page, page_pv="1", site_pv="1", site_uv="1")
    page.goto(f"{web.url}/")
    _busuanzi_shows(page, site_pv="2", site_uv="1")
    counted(web, first=1, **{"": 1})


@pytest.mark.slow
def test_npms_busuanzi_script_shows_our_numbers(npm: Path, web: Web, context: BrowserContext) -> None:
    source = (npm / "node_modules/busuanzi.pure.js/busuanzi.pure.js").read_text()
    (web.folder / "busuanzi.js").write_text(source.replace("//busuanzi.ibruce.info", web.counter))
    elements = "".join(
        f'<span id="busuanzi_container_{name}" style="display: none"><b id="busuanzi_value_{name}"></b></span>'
        for name in ("page_pv", "site_pv", "site_uv")
    )
    meta = '<meta name="referrer" content="no-referrer-when-downgrade">'
    module = "<script>var exports = {}, module = {exports: exports}</script>"
    page = context.new_page()
    address = web.page("a.html", f'{meta}{elements}{module}<script src="busuanzi.js"></script>')
    until(lambda: _numbers_shown(page, address))
    _busuanzi_shows(page, page_pv="1", site_pv="1", site_uv="1")
    counted(web, a_html=1)


def _numbers_shown(page: Page, address: str) -> bool:
    """False while the service still knows the host as the site of the test before, which counts nothing any more."""
    page.goto(address, wait_until="networkidle")
    return bool(page.locator("#busuanzi_value_page_pv").text_content())


def _busuanzi_shows(page: Page, **numbers: str) -> None:
    for name, number in numbers.items():
        expect(page.locator(f"#busuanzi_value_{name}")).to_have_text(number)
        expect(page.locator(f"#busuanzi_container_{name}")).to_be_visible()


@pytest.mark.slow
def test_prerendered_page_counts_when_it_is_shown(web: Web, tmp_path: Path) -> None:
    """Chromium prerenders only where no DevTools are attached: it is started by hand."""
    executable = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if executable is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    web.page("shown.html", script(web))
    web.page("never.html", script(web))
    rules = {"prerender": [{"urls": ["/shown.html", "/never.html"], "eagerness": "immediate"}]}
    start = web.page(
        "start.html",
        f'<script type="speculationrules">{json.dumps(rules)}</script>'
        "<script>setTimeout(() => { location.href = '/shown.html' }, 2500)</script>",
    )
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    browser = subprocess.Popen(
        [executable, "--headless=new", "--disable-gpu", "--no-first-run", *sandbox, f"--user-agent={CHROME}",
         f"--user-data-dir={tmp_path / 'profile'}", start],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until(lambda: pages(web) == {"/shown.html": 1})
        time.sleep(1)
        assert pages(web) == {"/shown.html": 1}
    finally:
        browser.terminate()
        browser.wait(10)


def test_the_script_of_busuanzis_heirs_fills_its_elements(web: Web, context: BrowserContext) -> None:
    elements = "".join(f'<b id="busuanzi_{name}"></b>' for name in ("site_pv", "value_page_pv", "site_uv"))
    page = context.new_page()
    address = web.page("a.html", f'{elements}<script async src="{web.counter}/js"></script>')
    until(lambda: _numbers_shown(page, address))
    for name in ("site_pv", "value_page_pv", "site_uv"):
        expect(page.locator(f"#busuanzi_{name}")).to_have_text("1")
