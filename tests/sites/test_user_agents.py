"""Browsers, systems and bots by their User-Agent."""

import asyncio
import threading

import pytest

from app.sites.user_agents import MAX_AGENT_BYTES, Agent, UserAgents
from tests.sites.conftest import Desk

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.0 Mobile/15E148 Safari/604.1"
)
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
EDGE = CHROME + " Edg/140.0.0.0"
GALAXY = (
    "Mozilla/5.0 (Linux; Android 14; SM-S901B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 "
    "Mobile Safari/537.36"
)


@pytest.fixture(scope="module")
def agents() -> UserAgents:
    return UserAgents()


@pytest.mark.parametrize(
    ("text", "browser", "system"),
    [
        (CHROME, "Chrome", "Linux"),
        (SAFARI, "Safari", "iOS"),
        (FIREFOX, "Firefox", "Windows"),
        (EDGE, "Edge", "Linux"),
        (GALAXY, "Chrome", "Android"),
        ("Lynx/2.9.0 libwww-FM/2.14", "Lynx", ""),
    ],
)
def test_browsers_are_told_apart(agents: UserAgents, text: str, browser: str, system: str) -> None:
    assert agents.classify(text.encode()) == Agent(is_bot=False, browser=browser, system=system)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "curl/8.5.0",
        "python-requests/2.32",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        CHROME.replace("Chrome/", "HeadlessChrome/"),
        "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/140.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "facebookexternalhit/1.1",
        "Wget/1.21",
        "Go-http-client/2.0",
    ],
)
def test_bots_are_recognised(agents: UserAgents, text: str) -> None:
    assert agents.classify(text.encode()).is_bot


def test_cache_of_agents_is_bounded_and_long_agents_are_cut() -> None:
    agents = UserAgents(limit=100)
    for number in range(500):
        agents.classify(CHROME.replace("140", str(number)).encode())
    assert len(agents) <= 100
    agents.classify(CHROME.encode() + b"x" * 100_000)
    assert all(len(header) <= MAX_AGENT_BYTES for header in agents._cached)


async def test_first_hits_wait_for_the_patterns_which_a_thread_loads(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, visitor = await desk.site(), desk.visitor(Referer="https://blog.example/a")
    threads, load = [], UserAgents.load

    def recorded(agents: UserAgents) -> None:
        threads.append(threading.current_thread())
        load(agents)

    monkeypatch.setattr(UserAgents, "load", recorded)
    answers = await asyncio.gather(
        visitor.get(f"/c/{site}"),
        visitor.post(f"/c/{site}", content="p=/a"),
        visitor.get(f"/g/{site}/count?p=/a"),
        visitor.get("/busuanzi?jsonpCallback=f"),
    )
    assert [answer.status_code for answer in answers] == [200, 204, 200, 200]
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()
    assert await desk.top(site, "browsers") == [("Chrome", 4, 1)]
