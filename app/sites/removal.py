"""Removes all counts of a site."""

import asyncio
from collections.abc import Iterator
from datetime import date, timedelta

from app.sites.counting_script import PAGES_IN_BLOCK, PAGES_IN_DAY_BLOCK
from app.sites.models import Site
from app.sites.site_calendar import cached_zone, compact, day_begins, day_of, days, from_compact, months
from app.sites.stats_store import StatsStore
from app.store import keys
from app.store.client import Store

BATCH_SIZE = 500
OF_SITE = ("totals", "ids", "months", "recent", "values", "imports", "pending")
OF_DAY = ("hours", "top", "v", "s", "h", "f")


async def remove_counts(store: Store, site: Site, now: float) -> None:
    """Derives the name of every key: a SCAN would take long, and would miss other nodes."""
    parts = list(await _parts(StatsStore(store), store, site, now))
    for at in range(0, len(parts), BATCH_SIZE):
        names = [keys.site_counts(site.bucket, site.id, part) for part in parts[at : at + BATCH_SIZE]]
        await store.idempotent("UNLINK", *names)
    # The list of paths last: until then a repetition after an error finds all blocks.
    await store.idempotent("UNLINK", keys.site_counts(site.bucket, site.id, "names"))


async def apply_retention(store: Store, site: Site) -> None:
    """Applies the present retention to days that were counted under another one."""
    stats, place = StatsStore(store), cached_zone(site.time_zone)
    blocks = -(-await stats.known_paths(site) // PAGES_IN_DAY_BLOCK)
    for day in await stats.all_days(site):
        ends = day_begins(day, place) + (site.retention_days + 1) * 86_400
        parts = (f"top:{compact(day)}", *(f"d:{compact(day)}:{block}" for block in range(blocks)))
        names = [keys.site_counts(site.bucket, site.id, part) for part in parts]
        if site.retention_days:
            await asyncio.gather(*(store.idempotent("EXPIREAT", name, int(ends)) for name in names))
        else:
            await asyncio.gather(*(store.idempotent("PERSIST", name) for name in names))


async def _parts(stats: StatsStore, store: Store, site: Site, now: float) -> Iterator[str]:
    paths = await stats.known_paths(site)
    today = day_of(now, cached_zone(site.time_zone)) + timedelta(days=1)
    began = day_of(site.created, cached_zone(site.time_zone)) - timedelta(days=1)
    counted = [from_compact(f"{month}01") for month in await stats.months(site)]
    of_months = sorted({*months(began, today), *counted})
    of_days = {*days(began, today), *(await stats.all_days(site))}
    imports = await store.idempotent("HKEYS", keys.site_counts(site.bucket, site.id, "imports"))
    return _names(of_months, sorted(of_days), paths, [name.decode() for name in imports])


def _names(of_months: list[date], of_days: list[date], paths: int, imports: list[str]) -> Iterator[str]:
    blocks, day_blocks = -(-paths // PAGES_IN_BLOCK), -(-paths // PAGES_IN_DAY_BLOCK)
    yield from (f"{part}:{compact(day)}" for day in of_days for part in OF_DAY)
    yield from (f"d:{compact(day)}:{block}" for day in of_days for block in range(day_blocks))
    yield from (f"{part}:{month:%Y%m}" for month in of_months for part in ("o", "pr"))
    yield from (f"m:{month:%Y%m}:{block}" for month in of_months for block in range(blocks))
    yield from (f"{part}:{year}" for year in {month.year for month in of_months} for part in ("days", "uniq"))
    yield from (f"pt:{block}" for block in range(blocks))
    yield from (f"import:{name}" for name in imports)
    yield from OF_SITE
