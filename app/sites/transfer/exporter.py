"""Exports a site, day by day: as CSV, or as JSON lines with the lists. Both can be imported again."""

import csv
import io
from collections.abc import AsyncIterator, Sequence

import orjson

from app.sites.counting_script import PAGES_IN_BLOCK, PAGES_IN_DAY_BLOCK
from app.sites.models import Site, settings_of
from app.sites.site_calendar import compact
from app.sites.stats_store import Count, StatsStore

COLUMNS = ("path", "visits", "visitors", "date")
Line = tuple[str, int, int, str]
"""Path, visits, visitors, day; the path is empty for the site's visitors, the day for what has no date."""


async def csv_lines(store: StatsStore, site: Site) -> AsyncIterator[bytes]:
    yield _csv([COLUMNS])
    async for lines in _lines(store, site):
        yield _csv(lines)


async def json_lines(store: StatsStore, site: Site) -> AsyncIterator[bytes]:
    yield orjson.dumps({"tallygate": 1, "site": site.id, **settings_of(site)}) + b"\n"
    async for lines in _lines(store, site):
        yield b"".join(
            orjson.dumps({"path": path, "visits": visits, "visitors": visitors, "date": day or None}) + b"\n"
            for path, visits, visitors, day in lines
        )
    for day in await store.all_days(site):
        for kind, names in (await store.lists(site, [day])).items():
            for name, count in names.items():
                entry = {"list": kind, "name": name, "visits": count.visits, "visitors": count.visitors}
                if name:
                    yield orjson.dumps(entry | {"date": day.isoformat()}) + b"\n"


async def _lines(store: StatsStore, site: Site) -> AsyncIterator[list[Line]]:
    """A day's pages at a time; what no day has any more is told without a date, so that the totals stay right."""
    names = await store.all_path_names(site, 0, -1)
    left = await store.pages(site, ["pt"], PAGES_IN_BLOCK)
    totals = await store.totals(site)
    visitors_left = totals.get("visitors", 0)
    without_page = totals.get("visits", 0) - sum(count.visits for count in left.values())
    for day, of_day in (await store.all_days(site)).items():
        pages = await store.pages(site, [f"d:{compact(day)}"], PAGES_IN_DAY_BLOCK)
        for page, count in pages.items():
            left[page] = Count(
                left.get(page, Count()).visits - count.visits, left.get(page, Count()).visitors - count.visitors
            )
        visitors_left -= of_day.visitors
        others = pages.pop(0, Count()).visits
        lines = [(names[page], count.visits, count.visitors, day.isoformat()) for page, count in sorted(pages.items())]
        if others or of_day.visitors:
            lines.append(("", others, of_day.visitors, day.isoformat()))
        yield lines
    without_page += left.pop(0, Count()).visits
    rest = [(names[page], c.visits, max(c.visitors, 0), "") for page, c in sorted(left.items()) if c.visits > 0]
    if visitors_left > 0 or without_page > 0:
        rest.append(("", max(without_page, 0), max(visitors_left, 0), ""))
    yield rest


def _csv(rows: Sequence[tuple[object, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
