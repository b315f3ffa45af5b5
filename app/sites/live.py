"""Streams a site's figures: read once a second for each site with open streams."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import asdict, dataclass

import orjson

from app.sites.models import Site
from app.sites.stats import SiteStats
from app.sites.store import SiteStore
from app.store.client import ResponseError, StoreUnavailable

INTERVAL = 1.0
HEARTBEAT = 15.0
"""Seconds after which an idle stream sends a comment, so that proxies keep it open."""


@dataclass
class Watch:
    site: Site
    watchers: int = 0
    news: bytes = b""
    task: asyncio.Task[None] | None = None


class LiveSites:
    def __init__(self, stats: SiteStats, store: SiteStore) -> None:
        self._stats = stats
        self._store = store
        self._watches: dict[str, Watch] = {}
        self.watchers = 0

    async def watch(self, site: Site, stopping: asyncio.Event) -> AsyncGenerator[bytes | None]:
        """The figures as JSON: now, and after each change; None as a heartbeat."""
        watch = self._watches.setdefault(site.id, Watch(site))
        watch.site = site  # the time zone may have changed
        watch.watchers += 1
        self.watchers += 1
        if watch.task is None:
            watch.task = asyncio.create_task(self._read(watch))
        told, quiet = b"", 0.0
        try:
            while not stopping.is_set():
                if watch.news != told:
                    told, quiet = watch.news, 0.0
                    yield told
                elif quiet >= HEARTBEAT:
                    quiet = 0.0
                    yield None
                with suppress(TimeoutError):
                    async with asyncio.timeout(INTERVAL / 2):
                        await stopping.wait()
                quiet += INTERVAL / 2
        finally:
            watch.watchers -= 1
            self.watchers -= 1
            if not watch.watchers:
                watch.task.cancel()
                self._watches.pop(site.id, None)

    async def _read(self, watch: Watch) -> None:
        while True:
            with suppress(StoreUnavailable, ResponseError):
                watch.news = await self._news(watch.site)
            await asyncio.sleep(INTERVAL)

    async def _news(self, site: Site) -> bytes:
        await self._store.count_pending(site)
        today = self._stats.today(site)
        count = (await self._stats.store.days(site, today, today)).get(today)
        totals = await self._stats.store.totals(site)
        return orjson.dumps(
            {
                "visits": count.visits if count else 0,
                "visitors": count.visitors if count else 0,
                "total": totals.get("visits", 0),
                "recent": [asdict(hit) for hit in await self._stats.store.recent(site)],
            }
        )
