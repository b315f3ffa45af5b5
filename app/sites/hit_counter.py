"""Decides what a hit counts as, and counts it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from app.sites.batch import BROWSER, COUNTRY, LANGUAGE, REFERRER, SCREEN, SYSTEM, NumbersFuture, Shape
from app.sites.countries import Countries
from app.sites.hit import Hit, LeftOut, asks_for_privacy, hit_of, language, query_values
from app.sites.hit_senders import HitSenders
from app.sites.models import Privacy, Site
from app.sites.referrers import is_spam
from app.sites.salts import Salts
from app.sites.site_calendar import Calendar, TimeSlot, cached_zone, time_slot
from app.sites.user_agents import UserAgents
from app.sites.visitors import CountedVisitors, visitor_hash
from app.web.prefetch import is_prefetch

MAX_CACHED_REPORTS = 8192
"""Of reports that are remembered, because many visitors send the same."""
MAX_REMEMBERED_BYTES = 2048
"""Of a report's headers and query; a longer one is not remembered."""
DECIDING = (
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
"""The headers that decide what a report counts as."""
Headers = Mapping[bytes, bytes]
ReportKey = tuple[str | bytes | None, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A hit, and what it counts as wherever it comes from."""

    site: Site
    hit: Hit
    agent: bytes
    left_out: LeftOut | None
    is_private: bool
    shape: Shape
    number: int
    """Another one for each report: with it and an address a visit is recognised without hashing."""


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
        self._counted = CountedVisitors()
        self._number = 0
        self._reports: dict[ReportKey, Report] = {}

    def query_report(self, site: Site, query: bytes, headers: Headers) -> Report:
        """The report in a request's query and headers. Raises BadHit."""
        key = (site.id, query, *map(headers.get, DECIDING))
        report = self._reports.get(key)
        if report is None or report.site is not site:
            hit = hit_of(query_values(query), site, headers.get(b"referer", b""), headers.get(b"origin", b""))
            report = self.report(site, hit, headers)
            if sum(len(part) for part in key if part is not None) <= MAX_REMEMBERED_BYTES:
                self._remember(key, report)
        return report

    def report(self, site: Site, hit: Hit, headers: Headers) -> Report:
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
        left_out = self._left_out(site, hit, headers, is_bot=known.is_bot, is_private=is_private)
        self._number += 1
        return Report(site, hit, agent, left_out, is_private, shape, self._number)

    def count_now(self, report: Report, address: str, *, numbers: bool) -> NumbersFuture | None:
        """Counts a report; None, with nothing done, where Redis has to be asked first."""
        site = report.site
        now = self._clock()
        slot = self._calendar.slot(site.time_zone, now)
        salt = self._salts.cached(site.time_zone, slot)
        return None if salt is None else self._count(report, address, slot, salt, now, numbers=numbers)

    async def count(
        self, report: Report, address: str, at: float | None = None, *, numbers: bool = False
    ) -> NumbersFuture:
        """Counts a report, also of a former hour. A former day's salt is gone: it has no visitor then."""
        site = report.site
        now = self._clock()
        slot = self._calendar.slot(site.time_zone, now)
        if at is not None and at < slot.begins:
            former = time_slot(cached_zone(site.time_zone), max(at, 0.0))
            if former.day != slot.day:
                report = replace(report, is_private=True)
            return self._count(
                report, address, former, await self._salts.get(site.time_zone, slot), at, numbers=numbers
            )
        return self._count(report, address, slot, await self._salts.get(site.time_zone, slot), now, numbers=numbers)

    def _count(
        self, report: Report, address: str, slot: TimeSlot, salt: bytes, now: float, *, numbers: bool
    ) -> NumbersFuture:
        site, event, reason = report.site, report.hit.event, report.left_out
        counts = self.senders.open(site, slot)
        if counts is None:
            return self.senders.unknown()
        if reason is None and site.networks and site.ignores(address):
            reason = LeftOut.OWN
        if reason is not None:
            counts.leave_out(reason)
        elif event:
            counts.event(event, "" if report.is_private else visitor_hash(salt, site.id, address, report.agent))
        elif report.is_private:
            counts.visit(report.shape, "", now)
        else:
            shape = self._with_country(report.shape, address) if self._countries.known else report.shape
            counts.visit(shape, self._new_visitor(report, address, slot, salt), now)
        is_visit = reason is None and not event
        return self.senders.wait(site, counts, report.shape.path, counted=is_visit, numbers=numbers)

    def _new_visitor(self, report: Report, address: str, slot: TimeSlot, salt: bytes) -> str:
        """The visitor's hash; empty where they are counted already, on this page in this hour."""
        if not self._counted.first((report.number, address, slot.begins)):
            return ""
        site = report.site
        visitor = visitor_hash(salt, site.id, address, report.agent)
        first = self._counted.first((site.id, site.revision, slot.begins, report.shape.path, visitor))
        return visitor if first else ""

    def _left_out(self, site: Site, hit: Hit, headers: Headers, *, is_bot: bool, is_private: bool) -> LeftOut | None:
        if is_prefetch(headers):
            return LeftOut.PREFETCH
        if is_bot:
            return LeftOut.BOTS
        if hit.elsewhere:
            return LeftOut.ELSEWHERE
        if hit.referrer and is_spam(hit.referrer, self._spam):
            return LeftOut.SPAM
        if is_private and site.privacy is Privacy.NOTHING:
            return LeftOut.PRIVATE
        return None

    def _with_country(self, shape: Shape, address: str) -> Shape:
        country = self._countries.of(address)
        return Shape(shape.path, (*shape.names, f"{COUNTRY}:{country}")) if country else shape

    def _remember(self, key: ReportKey, report: Report) -> None:
        if len(self._reports) >= MAX_CACHED_REPORTS:
            for oldest in list(self._reports)[: MAX_CACHED_REPORTS // 8]:
                del self._reports[oldest]
        self._reports[key] = report
