"""A real Chromium, the system's own, and a service for it to visit."""

import asyncio
import os
import queue
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.fakes.smtp import SmtpFake, smtp_fake
from tests.helpers.service import Process, process
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import until

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LINK = re.compile(r"http://\S+/setup\?token=\S+")
QUIET = [
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
MILLISECONDS = PATIENCE * 1000
expect.set_options(timeout=MILLISECONDS)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    executable = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if executable is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*QUIET, *sandbox])
        yield browser
        browser.close()


@pytest.fixture
def url(short_folder: Path, server: Valkey) -> Iterator[str]:
    """The address of a service that nobody has visited."""
    with process(short_folder / "browser", port="0", redis_url=server.url) as service:
        yield service.url()


@pytest.fixture(scope="module")
def visited(short_folder: Path, shared_server: Valkey) -> Iterator[str]:
    """The address of a service for a whole file: tests that need no certain count share a process."""
    with process(short_folder / "visited", port="0", redis_url=shared_server.url) as service:
        yield service.url()


@pytest.fixture
def fresh(short_folder: Path, server: Valkey) -> Iterator[Process]:
    """A service that nobody administers yet."""
    with process(short_folder / "accounts", port="0", redis_url=server.url) as service:
        until(lambda: LINK.search(service.output) is not None)
        service.url()
        yield service


def link_of(service: Process) -> str:
    found = LINK.search(service.output)
    assert found is not None
    return found[0]


class Visitor:
    """Somebody with a browser of their own; `complaints` is what the browser's console says is wrong."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.context.set_default_timeout(MILLISECONDS)
        self.complaints: list[str] = []

    def tab(self, url: str) -> Page:
        """A new tab that has loaded the page."""
        page = self.context.new_page()
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("requestfailed", lambda request: self._note_failure(request.url, request.failure or ""))
        page.goto(url)
        return page

    def _note(self, said: ConsoleMessage) -> None:
        own_idea = said.location["url"].endswith("/favicon.ico")  # which Chromium looks for beside plain JSON
        if said.type in {"error", "warning"} and not own_idea:
            self.complaints.append(said.text)

    def _note_failure(self, url: str, failure: str) -> None:
        if failure != "net::ERR_ABORTED":  # the page was left
            self.complaints.append(f"{url}: {failure}")


def forgive(visitor: Visitor, status: int) -> None:
    """The console tells of every answer that is an error, of the one that was asked for, too, if late."""
    deadline = time.monotonic() + PATIENCE
    while not visitor.complaints:
        assert time.monotonic() < deadline, "the console says nothing"
        visitor.context.pages[0].wait_for_timeout(10)
    (said,) = visitor.complaints
    assert f"status of {status}" in said
    visitor.complaints.clear()


@pytest.fixture
def meet(chromium: Browser) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors. None of their browsers may have anything to complain about.

    Tests ask for it after the service: the browsers are closed first, or would complain that it has gone.
    """
    visitors = []

    def visitor(**options: Any) -> Visitor:
        visitors.append(Visitor(chromium.new_context(**{"locale": "en-GB"} | options)))
        return visitors[-1]

    yield visitor
    for one in visitors:
        one.context.close()
        # "Confirm it's you" is a page with status 401, which the console reports.
        assert [said for said in one.complaints if "status of 401" not in said] == []


@pytest.fixture(scope="module")
def mail_server() -> Iterator[SmtpFake]:
    """A mail server in a thread of its own: Playwright keeps this one busy."""
    started: queue.Queue[tuple[SmtpFake, asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def serve() -> None:
        async with smtp_fake() as fake:
            stop = asyncio.Event()
            started.put((fake, asyncio.get_running_loop(), stop))
            await stop.wait()

    thread = Thread(target=asyncio.run, args=[serve()])
    thread.start()
    fake, loop, stop = started.get(timeout=PATIENCE)
    yield fake
    loop.call_soon_threadsafe(stop.set)
    thread.join(PATIENCE)
