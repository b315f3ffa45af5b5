"""Reads the counts of a site."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson

from app.sites.counting_script import MAX_RECENT_HITS, PACKED, PAGES_IN_BLOCK, PAGES_IN_DAY_BLOCK
from app.sites.models import Site
from app.sites.site_calendar import compact, from_compact, next_month
from app.store import keys
from app.store.client import Store

SMALL_NUMBERS = {b"%d" % number: number for number in range(1000)}
BATCH_SIZE = 500
"""Commands of one pipeline: reading a year must not delay other requests."""


@dataclass(slots=True)
class Count:
    visits: int = 0
    visitors: int = 0

    def add(self, other: "Count") -> None:
        self.visits += other.visits
        self.visitors += other.visitors


@dataclass(frozen=True, slots=True)
class RecentHit:
    at: int
    path: str
    names: tuple[str, ...]


class StatsStore:
    """Raises StoreUnavailable when Redis does not answer."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def totals(self, site: Site) -> dict[str, int]:
        """`visits`, `visitors`, and what imports and first values added without a date."""
        return _numbers(await self._get(site, "HGETALL", "totals"))

    async def days(self, site: Site, first: date, last: date) -> dict[date, Count]:
        """Days with visits."""
        years = range(first.year, last.year + 1)
        visits = await self._all([("HGETALL", self._key(site, f"days:{year}")) for year in years])
        visitors = await self._all([("HGETALL", self._key(site, f"uniq:{year}")) for year in years])
        found: dict[date, Count] = {}
        for year, of_year, unique in zip(years, visits, visitors, strict=True):
            for field, number in of_year.items():
                day = date(year, int(field[:2]), int(field[2:4]))
                if first <= day <= last:
                    found[day] = Count(int(number), int(unique.get(field, 0)))
        return found

    async def all_days(self, site: Site) -> dict[date, Count]:
        """Days with visits or events, in order; imports may have some that are to come."""
        counted = [from_compact(f"{month}01") for month in await self.months(site)]
        found = await self.days(site, min(counted), next_month(max(counted))) if counted else {}
        return dict(sorted(found.items()))

    async def months(self, site: Site) -> dict[str, Count]:
        """All months with visits, by YYYYMM."""
        numbers = _numbers(await self._get(site, "HGETALL", "months"))
        return {
            name: Count(number, numbers.get(f"u{name}", 0))
            for name, number in numbers.items()
            if not name.startswith("u")
        }

    async def hours(self, site: Site, days: Sequence[date]) -> list[dict[int, Count]]:
        replies = await self._all([("HGETALL", self._key(site, f"hours:{compact(day)}")) for day in days])
        return [_hours(_numbers(reply)) for reply in replies]

    async def left_out(self, site: Site, months: Iterable[date]) -> dict[tuple[date, str], int]:
        """(day, reason) -> hits."""
        months = list(months)
        replies = await self._all([("HGETALL", self._key(site, f"o:{month:%Y%m}")) for month in months])
        return {
            (month.replace(day=int(field[:2])), field[2:].decode()): int(number)
            for month, reply in zip(months, replies, strict=True)
            for field, number in reply.items()
        }

    async def lists(self, site: Site, days: Sequence[date]) -> dict[str, dict[str, Count]]:
        """The names of each list in these days; "" for those that were counted together."""
        found: dict[str, dict[str, Count]] = {}
        for reply in await self._all([("HGETALL", self._key(site, f"top:{compact(day)}")) for day in days]):
            for field, number in reply.items():
                kind, _, name = field.decode().partition(":")
                if not kind.startswith("#"):
                    names = found.setdefault(kind, {})
                    names.setdefault(name, Count()).add(Count(int(number) % PACKED, int(number) // PACKED))
        return found

    async def path_id(self, site: Site, path: str) -> int | None:
        reply = await self._get(site, "HGET", "ids", path)
        return None if reply is None else int(reply)

    async def path_total(self, site: Site, path_id: int) -> Count:
        block, field = divmod(path_id, PAGES_IN_BLOCK)
        return _pair(await self._get(site, "HMGET", f"pt:{block}", 2 * field, 2 * field + 1))

    async def path_days(self, site: Site, path_id: int, days: Sequence[date]) -> list[Count]:
        block, field = divmod(path_id, PAGES_IN_DAY_BLOCK)
        commands = [("HMGET", self._key(site, f"d:{compact(day)}:{block}"), 2 * field, 2 * field + 1) for day in days]
        return [_pair(reply) for reply in await self._all(commands)]

    async def path_months(self, site: Site, path_id: int, months: Sequence[date]) -> list[Count]:
        block, field = divmod(path_id, PAGES_IN_BLOCK)
        commands = [("HMGET", self._key(site, f"m:{month:%Y%m}:{block}"), 2 * field, 2 * field + 1) for month in months]
        return [_pair(reply) for reply in await self._all(commands)]

    async def known_paths(self, site: Site) -> int:
        """The number of kept paths, and one for the others."""
        return int(await self._get(site, "LLEN", "names"))

    async def path_names(self, site: Site, path_ids: Sequence[int]) -> list[str]:
        commands = [("LINDEX", self._key(site, "names"), path_id) for path_id in path_ids]
        return [(reply or b"").decode() for reply in await self._all(commands)]

    async def all_path_names(self, site: Site, start: int, stop: int) -> list[str]:
        return [name.decode() for name in await self._get(site, "LRANGE", "names", start, stop)]

    async def pages(self, site: Site, prefixes: Sequence[str], block_size: int) -> dict[int, Count]:
        """Path id -> counts, summed up over `prefixes`: `pt`, `d:<day>` or `m:<month>`."""
        blocks = -(-(await self.known_paths(site)) // block_size)
        sums: dict[int, int] = {}
        names = [(block, f"{prefix}:{block}") for prefix in prefixes for block in range(blocks)]
        for at in range(0, len(names), BATCH_SIZE):
            part = names[at : at + BATCH_SIZE]
            replies = await self._all([("HGETALL", self._key(site, name)) for _, name in part])
            for (block, _), reply in zip(part, replies, strict=True):
                _add_fields(sums, 2 * block * block_size, reply)
            await asyncio.sleep(0)
        # Even fields are the visits of a page, odd ones those of them that added no visitor.
        pages = ((field // 2, number, sums.get(field + 1, 0)) for field, number in sums.items() if field % 2 == 0)
        return {page: Count(visits, visits - repeats) for page, visits, repeats in pages}

    async def pairs(self, site: Site, months: Iterable[date]) -> dict[tuple[int, str], int]:
        """(path id, referrer) -> visits."""
        found: dict[tuple[int, str], int] = {}
        for reply in await self._all([("HGETALL", self._key(site, f"pr:{month:%Y%m}")) for month in months]):
            for field, number in reply.items():
                path_id, _, referrer = field.decode().partition(" ")
                if path_id:
                    key = (int(path_id), referrer)
                    found[key] = found.get(key, 0) + int(number)
        return found

    async def recent(self, site: Site) -> list[RecentHit]:
        """The newest hits, the newest first."""
        hits = [orjson.loads(entry) for entry in await self._get(site, "LRANGE", "recent", 0, MAX_RECENT_HITS - 1)]
        return [RecentHit(at, path, tuple(names)) for at, path, *names in hits]

    async def read(self, site: Site, command: str, part: str, *arguments: str | int) -> Any:
        return await self._get(site, command, part, *arguments)

    async def _get(self, site: Site, command: str, part: str, *arguments: str | int) -> Any:
        return await self._store.idempotent(command, self._key(site, part), *arguments)

    async def _all(self, commands: Sequence[tuple[str | int, ...]]) -> list[Any]:
        replies: list[Any] = []
        for at in range(0, len(commands), BATCH_SIZE):
            part = commands[at : at + BATCH_SIZE]
            replies += await asyncio.gather(*(self._store.idempotent(*command) for command in part))
        return replies

    def _key(self, site: Site, part: str) -> str:
        return keys.site_counts(site.bucket, site.id, part)


def _numbers(reply: dict[bytes, bytes]) -> dict[str, int]:
    return {field.decode(): int(number) for field, number in reply.items()}


def _pair(reply: Sequence[bytes | None]) -> Count:
    visits, repeats = (int(number or 0) for number in reply)
    return Count(visits, visits - repeats)


def _hours(numbers: dict[str, int]) -> dict[int, Count]:
    return {
        int(name): Count(number, numbers.get(f"u{name}", 0))
        for name, number in numbers.items()
        if not name.startswith("u")
    }


def _add_fields(sums: dict[int, int], first: int, reply: dict[bytes, bytes]) -> None:
    """Adds a block's fields, numbered from `first`. Small numbers are looked up, which is faster than parsing."""
    small, known = SMALL_NUMBERS.get, sums.get
    for name, text in reply.items():
        index, number = small(name), small(text)
        field = first + (int(name) if index is None else index)
        sums[field] = known(field, 0) + (int(text) if number is None else number)
