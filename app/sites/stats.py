"""The figures of a site over a range of days."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from app.sites.batch import HitTotals
from app.sites.hit import Exclusion
from app.sites.models import Site
from app.sites.site_calendar import HOUR, cached_zone, day_begins, day_of, days, from_compact, months, next_month
from app.sites.stats_store import Count, StatsStore
from app.sites.top_lists import Range, TopLists, months_and_days

INTERVALS = ("hour", "day", "month")
MAX_DAYS = 3_700
MAX_HOUR_DAYS = 31
DEFAULT_DAYS = 30


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


class SiteStats:
    def __init__(self, store: StatsStore, clock: Callable[[], float]) -> None:
        self.store = store
        self._clock = clock
        self.lists = TopLists(store, self.today)

    async def totals(self, site: Site, path: str) -> HitTotals:
        """The totals of a page and its site, without counting a hit."""
        totals, path_id = await self.store.totals(site), await self.store.path_id(site, path)
        page = await self.store.path_total(site, path_id) if path_id is not None else Count()
        return HitTotals(page.visits, totals.get("visits", 0), totals.get("visitors", 0))

    def today(self, site: Site) -> date:
        return day_of(self._clock(), cached_zone(site.time_zone))

    async def range_of_all(self, site: Site) -> Range:
        """From the first day with visits."""
        found, today = await self.store.months(site), self.today(site)
        month = min((from_compact(f"{month}01") for month in found), default=today)
        first = min(await self.store.days(site, month, next_month(month)), default=month)
        return Range(min(first, today), today, everything=True)

    async def figures(self, site: Site, span: Range, interval: str, path: str | None = None) -> Figures:
        if path is not None:
            return await self._path_figures(site, span, interval, path)
        by_day = await self.store.days(site, span.first, span.last)
        total = _sum(by_day.values())
        if interval == "hour":
            series = await self._hour_series(site, span)
        else:
            series = _points(_by_month(by_day) if interval == "month" else by_day, span, interval)
        if span.everything:
            totals = await self.store.totals(site)
            total = Count(totals.get("visits", 0), totals.get("visitors", 0))
        before = await self._before(site, span)
        return Figures(total.visits, total.visitors, series, before, await self._left_out(site, span))

    async def _before(self, site: Site, span: Range) -> int:
        if span.everything:
            return 0
        before = span.before()
        return _sum((await self.store.days(site, before.first, before.last)).values()).visits

    async def _left_out(self, site: Site, span: Range) -> dict[str, int]:
        left_out = dict.fromkeys((reason.value for reason in Exclusion), 0)
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
        path_id, total, before = await self.store.path_id(site, path), Count(), Count()
        counts: dict[date, Count] = {}
        if path_id is not None:
            counts = await self._path_counts(site, path_id, span, interval)
            if span.everything:
                total = await self.store.path_total(site, path_id)
            else:
                total = _sum(counts.values())
                before = _sum((await self._path_counts(site, path_id, span.before(), interval)).values())
        left_out = await self._left_out(site, span)
        return Figures(total.visits, total.visitors, _points(counts, span, interval), before.visits, left_out)

    async def _path_counts(self, site: Site, path_id: int, span: Range, interval: str) -> dict[date, Count]:
        """By day, or by first day of month: retention keeps whole months longer than their days."""
        dates = list(days(span.first, span.last))
        whole, single = months_and_days(span, dates) if interval == "month" else ([], dates)
        found = dict(zip(whole, await self.store.path_months(site, path_id, whole), strict=True))
        of_days = dict(zip(single, await self.store.path_days(site, path_id, single), strict=True))
        return found | (_by_month(of_days) if interval == "month" else of_days)


def _sum(counts: Iterable[Count]) -> Count:
    total = Count()
    for count in counts:
        total.add(count)
    return total


def _by_month(by_day: Mapping[date, Count]) -> dict[date, Count]:
    found: dict[date, Count] = {}
    for day, count in by_day.items():
        found.setdefault(day.replace(day=1), Count()).add(count)
    return found


def _points(counts: Mapping[date, Count], span: Range, interval: str) -> list[Point]:
    """A point for each day, or for each month, of which only the days in the range count."""
    each, form = (months, "%Y-%m") if interval == "month" else (days, "%Y-%m-%d")
    none = Count()
    found = [(at, counts.get(at, none)) for at in each(span.first, span.last)]
    return [Point(f"{at:{form}}", count.visits, count.visitors) for at, count in found]
