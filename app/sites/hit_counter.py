"""Classifies hits and counts them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from app.sites.batch import BROWSER, COUNTRY, LANGUAGE, REFERRER, SCREEN, SYSTEM, Shape, TotalsFuture
from app.sites.countries import Countries
from app.sites.hit import Exclusion, Hit, asks_for_privacy, hit_of, language, query_values
from app.sites.hit_senders import HitSenders
from app.sites.models import Privacy, Site
from app.sites.referrers import is_spam
from app.sites.salts import Salts
from app.sites.site_calendar import Calendar, TimeSlot, cached_zone, time_slot
from app.sites.user_agents import UserAgents
from app.sites.visitors import CountedVisitors, visitor_hash
from app.web.prefetch import is_prefetch

MAX_CACHED_REPORTS = 8192
"""Parsed reports that are cached: many visitors send the same one."""
MAX_CACHED_BYTES = 2048
"""Bytes of a report's headers and query; a longer one is not cached."""
REPORT_HEADERS = (
    b"user-agent",
    b"referer",
    b"origin",
    b"accept-language",
    b"sec-purpose",
    b"purpose",
    b"x-moz",
    b"x-purpose",
    b"sec-gpc",
    b"dnt",
)
"""Request headers that a report depends on."""
Headers = Mapping[bytes, bytes]
ReportKey = tuple[str | bytes | None, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A parsed hit: everything about it that does not depend on the client's address and the time."""

    site: Site
    hit: Hit
    agent: bytes
    exclusion: Exclusion | None
    is_private: bool
    shape: Shape
    number: int
    """Unique: with the address it identifies a repeated visit without hashing."""


class HitCounter:
    def __init__(
        self,
        senders: HitSenders,
        salts: Salts,
        agents: UserAgents,
        countries: Countries,
        spam: frozenset[str],
        clock: Callable[[], float],
    ) -> None:
        self.senders = senders
        self._salts = salts
        self._agents = agents
        self._countries = countries
        self._spam = spam
        self._clock = clock
        self._calendar = Calendar()
        self._counted_visits, self._counted_visitors = CountedVisitors(), CountedVisitors()
        self._number = 0
        self._reports: dict[ReportKey, Report] = {}

    @property
    def is_ready(self) -> bool:
        return self._agents.is_loaded

    async def ready(self) -> None:
        """Waits until hits can be classified without holding up the event loop."""
        await self._agents.ready()

    def query_report(self, site: Site, query: bytes, headers: Headers) -> Report:
        """The report in a request's query and headers; after `ready`. Raises BadHit."""
        key = (site.id, query, *map(headers.get, REPORT_HEADERS))
        report = self._reports.get(key)
        if report is None or report.site is not site:
            hit = hit_of(query_values(query), site, headers.get(b"referer", b""), headers.get(b"origin", b""))
            report = self._report(site, hit, headers)
            if sum(len(part) for part in key if part is not None) <= MAX_CACHED_BYTES:
                self._cache(key, report)
        return report

    async def report(self, site: Site, hit: Hit, headers: Headers) -> Report:
        await self.ready()
        return self._report(site, hit, headers)

    def _report(self, site: Site, hit: Hit, headers: Headers) -> Report:
        agent = headers.get(b"user-agent", b"")
        known = self._agents.classify(agent)
        is_private = asks_for_privacy(headers)
        shape = Shape(hit.page.path)
        if not is_private:
            tongue = language(headers.get(b"accept-language", b""))
            names = (
                (REFERRER, hit.referrer),
                (BROWSER, known.browser),
                (SYSTEM, known.system),
                (SCREEN, hit.screen),
                (LANGUAGE, tongue),
            )
            shape = Shape(hit.page.path, tuple(f"{kind}:{name}" for kind, name in names if name))
        exclusion = self._exclusion(site, hit, headers, is_bot=known.is_bot, is_private=is_private)
        self._number += 1
        return Report(site, hit, agent, exclusion, is_private, shape, self._number)

    def count_now(self, report: Report, address: str, *, want_totals: bool) -> TotalsFuture | None:
        """Counts a report; None, with nothing done, if the day's salt has to be read from Redis first."""
        site = report.site
        now = self._clock()
        slot = self._calendar.slot(site.time_zone, now)
        salt = self._salts.cached(site.time_zone, slot)
        return None if salt is None else self._count(report, address, slot, salt, now, want_totals=want_totals)

    async def count(
        self, report: Report, address: str, at: float | None = None, *, want_totals: bool = False
    ) -> TotalsFuture:
        """Counts a report, also of a former hour. One of a former day has no visitor: that salt is deleted."""
        site = report.site
        now = self._clock()
        slot = self._calendar.slot(site.time_zone, now)
        if at is not None and at < slot.begins:
            former = time_slot(cached_zone(site.time_zone), max(at, 0.0))
            if former.day != slot.day:
                report = replace(report, is_private=True)
            return self._count(
                report, address, former, await self._salts.get(site.time_zone, slot), at, want_totals=want_totals
            )
        return self._count(
            report, address, slot, await self._salts.get(site.time_zone, slot), now, want_totals=want_totals
        )

    def _count(
        self, report: Report, address: str, slot: TimeSlot, salt: bytes, now: float, *, want_totals: bool
    ) -> TotalsFuture:
        site, event, reason = report.site, report.hit.event, report.exclusion
        counts = self.senders.reserve(site, slot)
        if counts is None:
            return self.senders.without_totals()
        if reason is None and site.networks and site.ignores(address):
            reason = Exclusion.OWN
        if reason is not None:
            counts.exclude(reason)
        elif event:
            counts.event(event, "" if report.is_private else visitor_hash(salt, site.id, address, report.agent))
        elif report.is_private:
            counts.visit(report.shape, now)
        else:
            shape = self._with_country(report.shape, address) if self._countries.known else report.shape
            if self._counted_visits.first((report.number, address, slot.begins)):
                visitor = visitor_hash(salt, site.id, address, report.agent)
                known = not self._counted_visitors.first((site.id, site.revision, slot.begins, visitor))
                counts.visit(shape, now, visitor, known=known)
            else:
                counts.visit(shape, now)
        is_visit = reason is None and not event
        return self.senders.enqueue(site, counts, report.shape.path, counted=is_visit, want_totals=want_totals)

    def _exclusion(self, site: Site, hit: Hit, headers: Headers, *, is_bot: bool, is_private: bool) -> Exclusion | None:
        if is_prefetch(headers):
            return Exclusion.PREFETCH
        if is_bot:
            return Exclusion.BOTS
        if hit.elsewhere:
            return Exclusion.ELSEWHERE
        if hit.referrer and is_spam(hit.referrer, self._spam):
            return Exclusion.SPAM
        if is_private and site.privacy is Privacy.NOTHING:
            return Exclusion.PRIVATE
        return None

    def _with_country(self, shape: Shape, address: str) -> Shape:
        country = self._countries.of(address)
        return Shape(shape.path, (*shape.names, f"{COUNTRY}:{country}")) if country else shape

    def _cache(self, key: ReportKey, report: Report) -> None:
        if len(self._reports) >= MAX_CACHED_REPORTS:
            for oldest in list(self._reports)[: MAX_CACHED_REPORTS // 8]:
                del self._reports[oldest]
        self._reports[key] = report
