"""The most visited pages and the most frequent names of a site; lists of past days are cached for a minute."""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from heapq import nsmallest
from itertools import islice
from typing import TypeVar, cast

from app.sites import batch
from app.sites.counting_script import PAGES_IN_BLOCK, PAGES_IN_DAY_BLOCK
from app.sites.models import Site
from app.sites.site_calendar import compact, days, months, next_month
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
CACHE_SECONDS = 60.0
MAX_CACHED_PAGES = 100_000
LARGE, LARGE_SECONDS = 2000, 5.0
"""The list of all pages of a site with more of them is as old as this at times."""
CacheKey = tuple[str, str, int, "Range | None"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Range:
    first: date
    last: date
    everything: bool = False
    """Whether it includes counts without a date."""

    @property
    def length(self) -> int:
        return (self.last - self.first).days + 1

    def before(self) -> "Range":
        """The range of the same length before it."""
        return Range(self.first - timedelta(days=self.length), self.first - timedelta(days=1))


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


class TopLists:
    def __init__(self, store: StatsStore, today: Callable[[Site], date]) -> None:
        self.store = store
        self.today = today
        self._cache: dict[CacheKey, CacheEntry] = {}

    async def top(self, site: Site, kind: str, span: Range, limit: int) -> TopList:
        """The most visited pages, or the most frequent names of a list."""
        if kind == "pages":
            return await self._top_pages(site, span, limit)
        return _top((await self._lists(site, span)).get(LISTS[kind], {}), limit)

    async def names(self, site: Site, span: Range, limit: int) -> dict[str, TopList]:
        """The most frequent names of every list, read once."""
        found = await self._lists(site, span)
        return {kind: _top(found.get(short, {}), limit) for kind, short in LISTS.items()}

    async def referrers_of(self, site: Site, span: Range, path: str, limit: int) -> TopList:
        """The referrers of a page, in whole months."""
        path_id = await self.store.path_id(site, path)
        pairs = await self.store.pairs(site, months(span.first, span.last))
        return _top({name: Count(n, 0) for (page, name), n in pairs.items() if page == path_id}, limit)

    async def pages_of(self, site: Site, span: Range, referrer: str, limit: int) -> TopList:
        """The entry pages of visitors of a referrer, in whole months."""
        pairs = await self.store.pairs(site, months(span.first, span.last))
        found = {page: Count(n, 0) for (page, name), n in pairs.items() if name == referrer}
        return await self._named(site, Ranked(found), {}, limit)

    async def _lists(self, site: Site, span: Range) -> dict[str, dict[str, Count]]:
        """All lists of a range, by kind."""
        past, today = self._split(site, span)
        found = {} if past is None else await self._kept("lists", site, past, self._past_lists)
        if not today:
            return found
        newest = await self.store.lists(site, [self.today(site)])
        merged = {kind: dict(names) for kind, names in found.items()}
        for kind, names in newest.items():
            of_kind = merged.setdefault(kind, {})
            for name, count in names.items():
                of_kind[name] = _plus(of_kind.get(name), count)
        return merged

    async def _past_lists(self, site: Site, span: Range) -> dict[str, dict[str, Count]]:
        return await self.store.lists(site, list(days(span.first, span.last)))

    async def _top_pages(self, site: Site, span: Range, limit: int) -> TopList:
        if span.everything:
            return await self._named(site, await self._all_pages(site), {}, limit)
        past, today = self._split(site, span)
        ranked = Ranked({}) if past is None else await self._kept("pages", site, past, self._past_pages)
        newest = {}
        if today:
            newest = await self.store.pages(site, [f"d:{compact(self.today(site))}"], PAGES_IN_DAY_BLOCK)
        return await self._named(site, ranked, newest, limit)

    async def _all_pages(self, site: Site) -> "Ranked":
        """All pages with all their visits: read anew when there are more, and of a large site after a while."""
        visits = (await self.store.totals(site)).get("visits", 0)
        key, now = ("all", site.id, site.revision, None), time.monotonic()
        kept = self._cache.get(key)
        if kept is not None and isinstance(kept.value, AllPages):
            is_large = len(kept.value.ranked.counts) > LARGE and kept.until > now
            if kept.value.visits == visits or is_large:
                return kept.value.ranked
        ranked = Ranked(await self.store.pages(site, ["pt"], PAGES_IN_BLOCK))
        self._keep(key, CacheEntry(now + LARGE_SECONDS, AllPages(visits, ranked), len(ranked.counts)))
        return ranked

    async def _past_pages(self, site: Site, span: Range) -> "Ranked":
        visited = await self.store.days(site, span.first, span.last)
        whole, single = months_and_days(span, visited)
        found = await self.store.pages(site, [f"m:{month:%Y%m}" for month in whole], PAGES_IN_BLOCK)
        of_days = await self.store.pages(site, [f"d:{compact(day)}" for day in single], PAGES_IN_DAY_BLOCK)
        for page, count in of_days.items():
            found.setdefault(page, Count()).add(count)
        return Ranked(found)

    def _split(self, site: Site, span: Range) -> tuple[Range | None, bool]:
        """The days that are over, and whether today is one of the others."""
        today = self.today(site)
        past = Range(span.first, min(span.last, today - timedelta(days=1))) if span.first < today else None
        return past, span.first <= today <= span.last

    async def _kept(self, what: str, site: Site, span: Range, read: Callable[[Site, Range], Awaitable[T]]) -> T:
        """Lists of past days: cached for a minute, because they hardly change."""
        key, now = (what, site.id, site.revision, span), time.monotonic()
        kept = self._cache.get(key)
        if kept is not None and kept.until > now:
            return cast(T, kept.value)
        value = await read(site, span)
        size = len(value.counts) if isinstance(value, Ranked) else 1000
        self._keep(key, CacheEntry(now + CACHE_SECONDS, value, size))
        return value

    def _keep(self, key: CacheKey, kept: "CacheEntry") -> None:
        if sum(each.size for each in self._cache.values()) + kept.size > MAX_CACHED_PAGES:
            self._cache.clear()
        self._cache[key] = kept

    async def _named(self, site: Site, past: "Ranked", newest: Mapping[int, Count], limit: int) -> TopList:
        """Rows with the paths of ids; those of id 0, the pages beyond the site's limit, are among the others."""
        only_past = islice((page for page in past.order if page not in newest), limit + 1)
        candidates = {*only_past, *newest} - {0}
        counts = {page: _plus(past.counts.get(page), newest.get(page)) for page in candidates}
        ids = nsmallest(limit, candidates, key=lambda page: (-counts[page].visits, page))
        names = await self.store.path_names(site, ids)
        rows = [Row(name, counts[page].visits, counts[page].visitors) for page, name in zip(ids, names, strict=True)]
        total = past.visits + sum(count.visits for count in newest.values())
        return TopList(rows, total - sum(row.visits for row in rows))


class Ranked:
    """Pages by their visits."""

    def __init__(self, counts: Mapping[int, Count]) -> None:
        self.counts = counts
        self.order = sorted(counts, key=lambda page: (-counts[page].visits, page))
        self.visits = sum(count.visits for count in counts.values())


@dataclass(frozen=True, slots=True)
class AllPages:
    visits: int
    """The site's, when they were read."""
    ranked: Ranked


@dataclass(frozen=True, slots=True)
class CacheEntry:
    until: float
    value: object
    size: int


def _plus(one: Count | None, other: Count | None) -> Count:
    if one is None or other is None:
        return one or other or Count()
    return Count(one.visits + other.visits, one.visitors + other.visitors)


def _top(found: Mapping[str, Count], limit: int) -> TopList:
    names = sorted((name for name in found if name), key=lambda name: (-found[name].visits, name))[:limit]
    rows = [Row(name, found[name].visits, found[name].visitors) for name in names]
    return TopList(rows, sum(count.visits for count in found.values()) - sum(row.visits for row in rows))


def months_and_days(span: Range, visited: Iterable[date]) -> tuple[list[date], list[date]]:
    """The whole months of a range, and the visited days that are in none of them."""
    whole = [
        month
        for month in months(span.first, span.last)
        if span.first <= month and next_month(month) - timedelta(days=1) <= span.last
    ]
    covered = {(month.year, month.month) for month in whole}
    return whole, [day for day in visited if (day.year, day.month) not in covered]
