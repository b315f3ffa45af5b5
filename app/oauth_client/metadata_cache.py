"""Caches providers' metadata and keys in Redis: for an hour, longer while the provider is unavailable."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from app.accounts.secret import digest
from app.oauth_client.errors import BadProviderResponse, ProviderUnavailable
from app.oauth_client.provider_http import ProviderHttp
from app.store import keys
from app.store.client import Store
from app.store.single_flight import SingleFlight

METADATA_MAX_AGE = 3600
"""Seconds for which a document is used without a refresh."""
MAX_STALE_SECONDS = 30 * 86_400
"""Seconds for which a document is used while its provider is unavailable."""
RETRY_INTERVAL = 60
"""Seconds between two attempts to refresh a document, and between two refreshes for an unknown key."""
FETCH_WAIT = 2.0
"""Seconds to wait for another worker's fetch."""
JSON_TYPES = ("application/json", "application/jwk-set+json")
Check = Callable[[dict[str, Any]], object]


class MetadataCache:
    """Raises StoreUnavailable; ProviderUnavailable or BadProviderResponse where there is no document."""

    def __init__(self, store: Store, http: ProviderHttp, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._http = http
        self._clock = clock
        self._fetching: SingleFlight[dict[str, Any]] = SingleFlight()
        self._parsed: dict[str, tuple[bytes, float, dict[str, Any]]] = {}

    async def get(self, url: str, check: Check) -> dict[str, Any]:
        """The document, at most an hour old if the provider answers. `check` raises BadProviderResponse."""
        kept = await self._kept(url)
        if kept is None:
            return await self._fetch(url, check)
        at, document = kept
        if self._clock() - at < METADATA_MAX_AGE or not await self._first(url, "renew"):
            return document
        try:
            return await self._fetch(url, check)
        except (ProviderUnavailable, BadProviderResponse):
            return document

    async def renewed(self, url: str, check: Check) -> dict[str, Any]:
        """Fetches the document again, at most once a minute for all workers; otherwise returns the cached one."""
        if await self._first(url, "key"):
            return await self._fetch(url, check)
        asked = float(await self._store.idempotent("GET", _slot(url, "key")) or 0)
        deadline = asyncio.get_running_loop().time() + FETCH_WAIT
        while True:
            at, document = await self._kept(url) or (0.0, {})
            if at >= asked or asyncio.get_running_loop().time() > deadline:
                return document
            await asyncio.sleep(0.05)

    async def _kept(self, url: str) -> tuple[float, dict[str, Any]] | None:
        raw: bytes | None = await self._store.idempotent("GET", keys.oauth_document(digest(url)))
        if raw is None:
            return None
        memo = self._parsed.get(url)
        if memo is None or memo[0] != raw:
            kept = json.loads(raw)
            memo = self._parsed[url] = (raw, kept["at"], kept["document"])
        return memo[1], memo[2]

    async def _fetch(self, url: str, check: Check) -> dict[str, Any]:
        return await self._fetching.join(url, lambda: self._fetch_now(url, check))

    async def _fetch_now(self, url: str, check: Check) -> dict[str, Any]:
        answer = await self._http.get(url)
        if answer.status != 200:
            raise ProviderUnavailable(f"{answer.what}: {answer.status}")
        document = answer.json(*JSON_TYPES)
        check(document)
        kept = json.dumps({"at": self._clock(), "document": document})
        await self._store.idempotent("SET", keys.oauth_document(digest(url)), kept, "EX", MAX_STALE_SECONDS)
        return document

    async def _first(self, url: str, why: str) -> bool:
        """Whether this is the first request of its kind within a minute."""
        return bool(await self._store.once("SET", _slot(url, why), repr(self._clock()), "NX", "EX", RETRY_INTERVAL))


def _slot(url: str, why: str) -> str:
    return keys.oauth_refetch(digest(f"{why} {url}"))
