"""Decides what a hit counts as, and counts it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from app.sites.batch import BROWSER, COUNTRY, LANGUAGE, REFERRER, SCREEN, SYSTEM, NumbersFuture, Shape
from app.sites.collector import Collector
from app.sites.countries import Countries
from app.sites.hit import Hit, LeftOut, asks_for_privacy, hit_of, language, query_values
from app.sites.models import Privacy, Site
from app.sites.referrers import is_spam
from app.sites.salts import Salts
from app.sites.site_calendar import Calendar, TimeSlot
from app.sites.user_agents import Agent, UserAgents
from app.sites.visitors import CountedVisitors, visitor_hash
from app.web.prefetch import is_prefetch

MAX_MEMORY = 4096
"""Of hits and shapes that are remembered, because many visitors send the same."""
T = TypeVar("T")
Headers = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Sender:
    """Who reports a hit."""

    address: str
    agent: bytes
    language: str
    wants_privacy: bool
    prefetches: bool = False


def sender_of(headers: Headers, address: str) -> Sender:
    return Sender(
        address,
        headers.get(b"user-agent", b""),
        language(headers.get(b"accept-language", b"")),
        asks_for_privacy(headers),
        is_prefetch(headers),
    )


class HitCounter:
    def __init__(
        self,
        collector: Collector,
        salts: Salts,
        agents: UserAgents,
        countries: Countries,
        spam: frozenset[str],
        clock: Callable[[], float],
    ) -> None:
        self.collector = collector
        self._salts = salts
        self._agents = agents
        self._countries = countries
        self._spam = spam
        self._clock = clock
        self._calendar = Calendar()
        self._counted = CountedVisitors()
        self._hits: dict[tuple[bytes, bytes, bytes], tuple[Site, Hit]] = {}
        self._shapes: dict[tuple[Any, ...], Shape] = {}

    def query_hit(self, site: Site, query: bytes, headers: Headers) -> Hit:
        """The hit of a request's query. Raises BadHit."""
        referer, origin = headers.get(b"referer", b""), headers.get(b"origin", b"")
        key = (query, referer, origin)
        known = self._hits.get(key)
        if known is not None and known[0] is site:
            return known[1]
        hit = hit_of(query_values(query), site, referer, origin)
        if len(query) + len(referer) <= MAX_MEMORY:
            _remember(self._hits, key, (site, hit))
        return hit

    def ready(self, site: Site) -> bool:
        """Whether hits of the site can be counted without asking Redis."""
        return self._salts.cached(site.time_zone, self._slot(site)) is not None

    async def prepare(self, site: Site) -> bytes:
        """The day's salt."""
        return await self._salts.get(site.time_zone, self._slot(site))

    def count_now(self, site: Site, hit: Hit, sender: Sender) -> NumbersFuture:
        """Counts a hit of a site that is ready."""
        slot = self._slot(site)
        salt = self._salts.cached(site.time_zone, slot)
        assert salt is not None
        return self._count(site, hit, sender, slot, salt)

    async def count(self, site: Site, hit: Hit, sender: Sender) -> NumbersFuture:
        slot = self._slot(site)
        return self._count(site, hit, sender, slot, await self._salts.get(site.time_zone, slot))

    def _slot(self, site: Site) -> TimeSlot:
        return self._calendar.slot(site.time_zone, self._clock())

    def _count(self, site: Site, hit: Hit, sender: Sender, slot: TimeSlot, salt: bytes) -> NumbersFuture:
        agent = self._agents.classify(sender.agent)
        path = hit.page.path
        reason = self._left_out(site, hit, sender, agent)
        if reason is not None:
            return self.collector.leave_out(site, slot, reason, path)
        visitor = "" if sender.wants_privacy else visitor_hash(salt, site.id, sender.address, sender.agent)
        if hit.event:
            return self.collector.event(site, slot, hit.event, visitor, path)
        if not visitor:
            return self.collector.visit(site, slot, self._shape(path), "", self._clock())
        if not self._counted.first(site.id, site.revision, slot.begins, path, visitor):
            visitor = ""
        country = self._countries.of(sender.address)
        shape = self._visit_shape(hit, agent, sender.language, country)
        return self.collector.visit(site, slot, shape, visitor, self._clock())

    def _left_out(self, site: Site, hit: Hit, sender: Sender, agent: Agent) -> LeftOut | None:
        if sender.prefetches:
            return LeftOut.PREFETCH
        if agent.is_bot:
            return LeftOut.BOTS
        if hit.elsewhere:
            return LeftOut.ELSEWHERE
        if site.ignores(sender.address):
            return LeftOut.OWN
        if hit.referrer and is_spam(hit.referrer, self._spam):
            return LeftOut.SPAM
        if sender.wants_privacy and site.privacy is Privacy.NOTHING:
            return LeftOut.PRIVATE
        return None

    def _shape(self, path: str) -> Shape:
        key = (path,)
        return self._shapes.get(key) or _remember(self._shapes, key, Shape(path))

    def _visit_shape(self, hit: Hit, agent: Agent, tongue: str, country: str) -> Shape:
        key = (hit, agent, tongue, country)
        shape = self._shapes.get(key)
        if shape is None:
            names = (
                (REFERRER, hit.referrer),
                (BROWSER, agent.browser),
                (SYSTEM, agent.system),
                (SCREEN, hit.screen),
                (LANGUAGE, tongue),
                (COUNTRY, country),
            )
            shape = Shape(hit.page.path, tuple(f"{kind}:{name}" for kind, name in names if name))
            _remember(self._shapes, key, shape)
        return shape


def _remember(memory: dict[Any, T], key: object, value: T) -> T:
    if len(memory) >= MAX_MEMORY:
        for oldest in list(memory)[: MAX_MEMORY // 8]:
            del memory[oldest]
    memory[key] = value
    return value
