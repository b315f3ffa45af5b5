"""Hits of sites that are not cached, while Redis is away: counted when it is back."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from app.sites.hit import BadHit, Hit
from app.sites.hit_counter import REPORT_HEADERS, HitCounter
from app.sites.models import Site
from app.store.client import ResponseError, StoreUnavailable

MAX_POSTPONED = 5_000
MAX_POSTPONED_BYTES = 4_096
"""Bytes of the fields and headers of a hit; a larger one is dropped."""
RETRY_INTERVAL = 0.5
"""Seconds until the next attempt."""
Headers = Mapping[bytes, bytes]
Values = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PostponedHit:
    """`site` reads the hit's site, which may not exist; `hit` raises BadHit."""

    site: Callable[[], Awaitable[Site | None]]
    hit: Callable[[Values, Site, Headers], Hit]
    values: Values
    headers: Headers
    address: str
    at: float


class PostponedHits:
    """A bounded queue in this worker's memory."""

    def __init__(self, counter: HitCounter, clock: Callable[[], float]) -> None:
        self._counter = counter
        self._clock = clock
        self._hits: deque[PostponedHit] = deque()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._hits)

    def add(
        self,
        site: Callable[[], Awaitable[Site | None]],
        hit: Callable[[Values, Site, Headers], Hit],
        values: Values,
        headers: Headers,
        address: str,
    ) -> None:
        headers = {name: headers[name] for name in REPORT_HEADERS if name in headers}
        size = sum(map(len, values.values())) + sum(map(len, headers.values()))
        if len(self._hits) >= MAX_POSTPONED or size > MAX_POSTPONED_BYTES:
            self.dropped += 1
        else:
            self._hits.append(PostponedHit(site, hit, values, headers, address, self._clock()))

    async def run(self) -> None:
        """Counts the postponed hits as soon as Redis answers."""
        while True:
            await asyncio.sleep(RETRY_INTERVAL)
            try:
                while self._hits:
                    await self._count(self._hits[0])
                    self._hits.popleft()
            except (StoreUnavailable, ResponseError):
                continue

    async def _count(self, waiting: PostponedHit) -> None:
        site = await waiting.site()
        if site is None:
            return
        try:
            hit = waiting.hit(waiting.values, site, waiting.headers)
        except BadHit:
            return
        report = await self._counter.report(site, hit, waiting.headers)
        await self._counter.count(report, waiting.address, waiting.at)
