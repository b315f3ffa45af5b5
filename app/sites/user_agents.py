"""Classifies browsers, systems and bots by User-Agent, with a bounded cache."""

import asyncio
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from app.lazy import LazyModule
from app.sites.referrers import cut

if TYPE_CHECKING:
    import crawlerdetect
    import ua_parser
    from ua_parser import loaders, regex
else:
    crawlerdetect = LazyModule("crawlerdetect")
    ua_parser = LazyModule("ua_parser")
    loaders = LazyModule("ua_parser.loaders")
    regex = LazyModule("ua_parser.regex")

MAX_AGENT_BYTES = 512
"""Of a User-Agent that are looked at: patterns are slow on long ones."""
MAX_CACHED_AGENTS = 4096
COMMON = re.compile(
    r"Mozilla/5\.0 \((?:Windows NT|Macintosh; Intel Mac OS X|X11; (?:Linux|Ubuntu|CrOS)|Linux; Android|iPhone; CPU"
    r"|iPad; CPU|Android)[\w ./;:\-]*\) "
    r"(?:AppleWebKit/[\d.]+ \(KHTML, like Gecko\) (?:Version/[\d.]+ )?(?:(?:Chrome|CriOS|FxiOS)/[\d.]+ )?"
    r"(?:Mobile(?:/\w+)? )?"
    r"Safari/[\d.]+(?: (?:Edg|EdgA|OPR)/[\d.]+)?|Gecko/[\d.]+ Firefox/[\d.]+)"
)
"""What ordinary browsers send, word for word. They are recognised without the list of bots, which takes 0.7 ms."""
BOT_HINT = re.compile(r"bot|crawl|spider|slurp|preview|monitor|scan|fetch|headless|google|lighthouse", re.IGNORECASE)
TEXT_BROWSERS = ("Lynx/", "Links ", "Links/", "ELinks/", "w3m/")
"""Browsers for people that the list of bots includes."""


@dataclass(frozen=True, slots=True)
class Agent:
    is_bot: bool
    browser: str = ""
    system: str = ""


BOT = Agent(is_bot=True)


class UserAgents:
    """`classify` caches recent agents."""

    def __init__(self, limit: int = MAX_CACHED_AGENTS) -> None:
        self._limit = limit
        self._cached: dict[bytes, Agent] = {}
        self._loading = asyncio.Lock()
        self.is_loaded = False

    @cached_property
    def _crawlers(self) -> "crawlerdetect.CrawlerDetect":
        return crawlerdetect.CrawlerDetect()

    @cached_property
    def _parser(self) -> "ua_parser.Parser":
        browsers, systems, _ = loaders.load_builtins()  # devices, which are not asked for, would take 13 MB
        return ua_parser.Parser(regex.Resolver((browsers, systems, [])))

    def load(self) -> None:
        """Loads the patterns. Takes half a second: run it in a thread."""
        self._crawlers.is_crawler("")
        self._parser.parse_os("")
        self.is_loaded = True

    async def ready(self) -> None:
        """Loads the patterns in a thread, once: in the event loop, every request would wait for them."""
        if not self.is_loaded:
            async with self._loading:
                if not self.is_loaded:
                    await asyncio.to_thread(self.load)

    def __len__(self) -> int:
        return len(self._cached)

    def cached(self, header: bytes) -> Agent | None:
        return self._cached.get(header[:MAX_AGENT_BYTES])

    def classify(self, header: bytes) -> Agent:
        header = header[:MAX_AGENT_BYTES]
        agent = self._cached.get(header)
        if agent is None:
            if len(self._cached) >= self._limit:
                for oldest in list(self._cached)[: self._limit // 8]:
                    del self._cached[oldest]
            agent = self._cached[header] = self._classify(header.decode("latin-1").strip())
        return agent

    def _classify(self, text: str) -> Agent:
        if not text or self._is_bot(text):
            return BOT
        browser, system = self._parser.parse_user_agent(text), self._parser.parse_os(text)
        return Agent(
            is_bot=False,
            browser=_plain(browser.family) if browser else "",
            system=cut(system.family) if system else "",
        )

    def _is_bot(self, text: str) -> bool:
        if text.startswith(TEXT_BROWSERS) or (COMMON.fullmatch(text) and not BOT_HINT.search(text)):
            return False
        # crawlerdetect remembers what it was asked; its pattern is asked directly, so that our bound is the only one
        return bool(self._crawlers.is_crawler(text))


def _plain(family: str) -> str:
    """`Chrome Mobile` and `Mobile Safari` are Chrome and Safari: the system says the rest."""
    words = [word for word in family.split() if word not in {"Mobile", "iOS"}]
    return cut(" ".join(words) or family)
