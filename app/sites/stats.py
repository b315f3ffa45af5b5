"""The figures of a site over a range of days."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from app.sites import batch
from app.sites.batch import Numbers
from app.sites.counting_script import PAGES_IN_BLOCK, PAGES_IN_DAY_BLOCK
from app.sites.hit import LeftOut
from app.sites.models import Site
from app.sites.site_calendar import (
    HOUR,
    cached_zone,
    compact,
    day_begins,
    day_of,
    days,
    from_compact,
    months,
    next_month,
)
from app.sites.stats_store import Count, StatsStore

LISTS = {
    "referrers": batch.REFERRER,
    "countries": batch.COUNTRY,
    "browsers": batch.BROWSER,
    "systems": batch.SYSTEM,
    "screens": batch.SCREEN,
    "languages": batch.LANGUAGE,
    "events": batch.EVENT,
}
INTERVALS = ("hour", "day", "month")
MAX_DAYS = 3_700
MAX_HOUR_DAYS = 31
DEFAULT_DAYS = 30
CACHE_SECONDS = 60.0
MAX_CACHED_PAGES = 100_000


@dataclass(frozen=True, slots=True)
class Range:
    first: date
    last: date
    everything: bool = False
    """Whether counts without a date belong to it."""

    @property
    def length(self) -> int:
        return (self.last - self.first).days + 1

    def before(self) -> "Range":
        """The range of the same length before it."""
        return Range(self.first - timedelta(days=self.length), self.first - timedelta(days=1))


@dataclass(frozen=True, slots=True)
class Point:
    at: str
    visits: int
    visitors: int


@dataclass(frozen=True, slots=True)
class Figures:
    visits: int
    visitors: int
    series: Sequence[Point]
    before: int
    left_out: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    visits: int
    visitors: int


@dataclass(frozen=True, slots=True)
class TopList:
    rows: Sequence[Row]
    other: int
    """Visits of names that are not among the rows."""


class SiteStats:
    def __init__(self, store: StatsStore, clock: Callable[[], float]) -> None:
        self.store = store
        self._clock = clock
        self._past_pages: dict[tuple[str, int, Range], tuple[float, dict[int, Count]]] = {}

    async def numbers(self, site: Site, path: str) -> Numbers:
        """What a hit of the page would be told, without counting one."""
        totals, path_id = await self.store.totals(site), await self.store.path_id(site, path)
        page = await self.store.path_total(site, path_id) if path_id is not None else Count()
        return Numbers(page.visits, totals.get("visits", 0), totals.get("visitors", 0))

    def today(self, site: Site) -> date:
        return day_of(self._clock(), cached_zone(site.time_zone))

    async def range_of_all(self, site: Site) -> Range:
        """From the first day with visits."""
        found = await self.store.months(site)
        today = self.today(site)
        first = min((from_compact(f"{month}01") for month in found), default=today)
        return Range(min(first, today), today, everything=True)

    async def figures(self, site: Site, span: Range, interval: str, path: str | None = None) -> Figures:
        if path is not None:
            return await self._path_figures(site, span, interval, path)
        by_day = await self.store.days(site, span.first, span.last)
        total = _sum(by_day.values())
        if interval == "hour":
            series = await self._hour_series(site, span)
        elif interval == "month":
            by_month = await self.store.months(site)
            series = [_month_point(month, by_month.get(f"{month:%Y%m}")) for month in months(span.first, span.last)]
        else:
            series = [_day_point(day, by_day.get(day)) for day in days(span.first, span.last)]
        if span.everything:
            totals = await self.store.totals(site)
            total = Count(totals.get("visits", 0), totals.get("visitors", 0))
        before = await self._before(site, span)
        return Figures(total.visits, total.visitors, series, before, await self._left_out(site, span))

    async def top(self, site: Site, kind: str, span: Range, limit: int) -> TopList:
        """The most visited pages, or the most frequent names of a list."""
        if kind == "pages":
            return await self._top_pages(site, span, limit)
        dates = list(days(span.first, span.last))
        return _top(await self.store.lists(site, dates, LISTS[kind]), limit)

    async def referrers_of(self, site: Site, span: Range, path: str, limit: int) -> TopList:
        """Where the visitors of a page came from: in whole months."""
        path_id = await self.store.path_id(site, path)
        pairs = await self.store.pairs(site, months(span.first, span.last))
        return _top({name: Count(n, 0) for (page, name), n in pairs.items() if page == path_id}, limit)

    async def pages_of(self, site: Site, span: Range, referrer: str, limit: int) -> TopList:
        """The pages that visitors of a referrer came to: in whole months."""
        pairs = await self.store.pairs(site, months(span.first, span.last))
        found = {page: Count(n, 0) for (page, name), n in pairs.items() if name == referrer}
        return await self._named(site, found, limit)

    async def _before(self, site: Site, span: Range) -> int:
        if span.everything:
            return 0
        before = span.before()
        return _sum((await self.store.days(site, before.first, before.last)).values()).visits

    async def _left_out(self, site: Site, span: Range) -> dict[str, int]:
        left_out = dict.fromkeys((reason.value for reason in LeftOut), 0)
        for (day, reason), number in (await self.store.left_out(site, months(span.first, span.last))).items():
            if span.first <= day <= span.last and reason in left_out:
                left_out[reason] += number
        return left_out

    async def _hour_series(self, site: Site, span: Range) -> list[Point]:
        dates, place = list(days(span.first, span.last)), cached_zone(site.time_zone)
        series = []
        for day, hours in zip(dates, await self.store.hours(site, dates), strict=True):
            begins, ends = day_begins(day, place), day_begins(day + timedelta(days=1), place)
            for hour in range(int(-(-(ends - begins) // HOUR))):
                at = datetime.fromtimestamp(begins + hour * HOUR, UTC).astimezone(place)
                count = hours.get(hour, Count())
                series.append(Point(at.isoformat(timespec="minutes"), count.visits, count.visitors))
        return series

    async def _path_figures(self, site: Site, span: Range, interval: str, path: str) -> Figures:
        path_id = await self.store.path_id(site, path)
        if path_id is None:
            return Figures(0, 0, [], 0, {})
        if interval == "month":
            of_months = list(months(span.first, span.last))
            counts = await self.store.path_months(site, path_id, of_months)
            series = [_month_point(month, count) for month, count in zip(of_months, counts, strict=True)]
        else:
            dates = list(days(span.first, span.last))
            counts = await self.store.path_days(site, path_id, dates)
            series = [_day_point(day, count) for day, count in zip(dates, counts, strict=True)]
        total, before = _sum(counts), Count()
        if span.everything:
            total = await self.store.path_total(site, path_id)
        elif interval != "month":
            earlier = span.before()
            before = _sum(await self.store.path_days(site, path_id, list(days(earlier.first, earlier.last))))
        return Figures(total.visits, total.visitors, series, before.visits, {})

    async def _top_pages(self, site: Site, span: Range, limit: int) -> TopList:
        if span.everything:
            return await self._named(site, await self.store.pages(site, ["pt"], PAGES_IN_BLOCK), limit)
        today = self.today(site)
        found: dict[int, Count] = {}
        if span.first < today:
            past = Range(span.first, min(span.last, today - timedelta(days=1)))
            found = {
                page: Count(count.visits, count.visitors) for page, count in (await self._past(site, past)).items()
            }
        if span.first <= today <= span.last:
            newest = await self.store.pages(site, [f"d:{compact(today)}"], PAGES_IN_DAY_BLOCK)
            for page, count in newest.items():
                found.setdefault(page, Count()).add(count)
        return await self._named(site, found, limit)

    async def _past(self, site: Site, span: Range) -> dict[int, Count]:
        """Pages of days that are over: kept for a minute, because they hardly change any more."""
        key, now = (site.id, site.revision, span), time.monotonic()
        kept = self._past_pages.get(key)
        if kept is not None and kept[0] > now:
            return kept[1]
        visited = await self.store.days(site, span.first, span.last)
        whole, single = _months_and_days(span, visited)
        found = await self.store.pages(site, [f"m:{month:%Y%m}" for month in whole], PAGES_IN_BLOCK)
        for page, count in (
            await self.store.pages(site, [f"d:{compact(day)}" for day in single], PAGES_IN_DAY_BLOCK)
        ).items():
            found.setdefault(page, Count()).add(count)
        if sum(len(pages) for _, pages in self._past_pages.values()) + len(found) > MAX_CACHED_PAGES:
            self._past_pages.clear()
        self._past_pages[key] = (now + CACHE_SECONDS, found)
        return found

    async def _named(self, site: Site, found: Mapping[int, Count], limit: int) -> TopList:
        """Rows with the paths of ids; those of id 0, the pages beyond the site's limit, are among the others."""
        ids = sorted((page for page in found if page), key=lambda page: (-found[page].visits, page))[:limit]
        names = await self.store.path_names(site, ids)
        rows = [Row(name, found[page].visits, found[page].visitors) for page, name in zip(ids, names, strict=True)]
        return TopList(rows, sum(count.visits for count in found.values()) - sum(row.visits for row in rows))


def _top(found: Mapping[str, Count], limit: int) -> TopList:
    names = sorted((name for name in found if name), key=lambda name: (-found[name].visits, name))[:limit]
    rows = [Row(name, found[name].visits, found[name].visitors) for name in names]
    return TopList(rows, sum(count.visits for count in found.values()) - sum(row.visits for row in rows))


def _months_and_days(span: Range, visited: Mapping[date, Count]) -> tuple[list[date], list[date]]:
    """The whole months of a range, and the visited days that are in none of them."""
    whole = [
        month
        for month in months(span.first, span.last)
        if span.first <= month and next_month(month) - timedelta(days=1) <= span.last
    ]
    covered = {(month.year, month.month) for month in whole}
    return whole, [day for day in visited if (day.year, day.month) not in covered]


def _sum(counts: Iterable[Count]) -> Count:
    total = Count()
    for count in counts:
        total.add(count)
    return total


def _day_point(day: date, count: Count | None) -> Point:
    return Point(day.isoformat(), count.visits if count else 0, count.visitors if count else 0)


def _month_point(month: date, count: Count | None) -> Point:
    return Point(f"{month:%Y-%m}", count.visits if count else 0, count.visitors if count else 0)
