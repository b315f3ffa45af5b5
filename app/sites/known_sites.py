"""The sites that a worker caches: until Redis invalidates them, and while Redis is away."""

import time

from app.sites.models import SITE_ID, Site, site_from_hash
from app.sites.store import SiteStore, site_key
from app.store.client import StoreUnavailable
from app.store.tracking import TrackedHashes, Tracking

MAX_KNOWN = 20_000
HOST_SECONDS = 5.0
"""Seconds for which the sites of a host are cached."""
MAX_HOSTS = 10_000


class KnownSites:
    def __init__(self, tracking: Tracking) -> None:
        self._tracked = TrackedHashes(tracking, site_from_hash, limit=MAX_KNOWN)
        self._last: dict[str, Site] = {}

    def cached(self, site_id: str) -> Site | None:
        """The cached site; None if it is not cached, or does not exist."""
        return self._tracked.cached(site_key(site_id)) if len(site_id) == 10 else None

    async def get(self, site_id: str) -> Site | None:
        """The site; None when there is none. Raises StoreUnavailable."""
        if not SITE_ID.fullmatch(site_id):
            return None
        site = await self._tracked.read(site_key(site_id))
        if site is None:
            self._last.pop(site_id, None)
        elif self._last.get(site_id) is not site:
            if len(self._last) >= MAX_KNOWN:
                self._last.clear()
            self._last[site_id] = site
        return site

    async def get_to_count(self, site_id: str) -> Site | None:
        """The site; while Redis is away, its last cached state. Raises StoreUnavailable if it was never cached."""
        try:
            return await self.get(site_id)
        except StoreUnavailable:
            if site_id in self._last:
                return self._last[site_id]
            raise

    def forget(self, site: Site) -> None:
        """Drops the site from the cache after this worker has changed it."""
        self._tracked.forget(site_key(site.id))


class SitesOfHosts:
    """The site that a host belongs to; while Redis is away, the last known one. A site that has been removed or has
    given up the host, by this worker or another, is passed over.
    """

    def __init__(self, store: SiteStore, known_sites: KnownSites) -> None:
        self._store = store
        self._known_sites = known_sites
        self._known: dict[str, tuple[float, tuple[str, ...]]] = {}

    async def site_of(self, host: str) -> Site | None:
        """Raises StoreUnavailable for a host that is not cached."""
        asked, site_ids = self._known.get(host, (float("-inf"), ()))
        if time.monotonic() - asked > HOST_SECONDS:
            try:
                site_ids = await self._store.sites_of_host(host)
            except StoreUnavailable:
                if host not in self._known:
                    raise
            if len(self._known) >= MAX_HOSTS:
                self._known.clear()
            self._known[host] = (time.monotonic(), site_ids)
        for site_id in site_ids:
            site = await self._known_sites.get_to_count(site_id)
            if site is not None and host in site.compare_hosts:
                return site
        return None

    def forget(self, host: str) -> None:
        self._known.pop(host, None)
