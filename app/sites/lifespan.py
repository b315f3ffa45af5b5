"""The part of the lifespan that opens sites, and the request state that it fills."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TypedDict

from app.accounts.lifespan import AccountState
from app.observability.metrics import Metrics, Reading
from app.server.background import background
from app.sites.countries import Countries
from app.sites.hit_counter import HitCounter
from app.sites.hit_senders import HitSenders
from app.sites.known_sites import KnownSites, SitesOfHosts
from app.sites.live import LiveSites
from app.sites.postponed import PostponedHits
from app.sites.protocols.countapi_store import CountApiStore
from app.sites.referrers import spam_hosts
from app.sites.salts import Salts
from app.sites.stats import SiteStats
from app.sites.stats_store import StatsStore
from app.sites.store import SiteStore
from app.sites.transfer.importer import Importer
from app.sites.user_agents import UserAgents
from app.store.client import ResponseError, StoreUnavailable
from app.web.lifespan import WebState

FLUSH_TIMEOUT = 0.7
"""Seconds that a stop waits for Redis to acknowledge the last hits."""

PENDING_INTERVAL = 30.0


class Sites(TypedDict):
    """Filled by `open_sites`."""

    known_sites: KnownSites
    hit_counter: HitCounter
    postponed_hits: PostponedHits
    site_store: SiteStore
    site_stats: SiteStats
    live_sites: LiveSites
    hosts: SitesOfHosts
    importer: Importer
    countapi: CountApiStore
    clock: Callable[[], float]


class SitesState(AccountState, Sites):
    """The request state of the handlers of sites."""


@asynccontextmanager
async def open_sites(web: WebState, metrics: Metrics, clock: Callable[[], float]) -> AsyncIterator[Sites]:
    """Counts hits until the block ends, then waits up to FLUSH_TIMEOUT for Redis to acknowledge the last ones."""
    settings, store = web["settings"], web["store"]
    async with AsyncExitStack() as stack:
        barrier = await stack.enter_async_context(store.sibling())
        known = KnownSites(web["tracking"])
        countries = Countries(settings.geoip_file)
        stack.callback(countries.close)
        site_store = SiteStore(store, settings.site_reached)
        senders = HitSenders(store, barrier, max_queued=settings.max_queued_hits, reached=settings.site_reached)
        salts = Salts(site_store)
        agents = UserAgents()
        counter = HitCounter(senders, salts, agents, countries, spam_hosts(settings.referrer_spam), clock)
        postponed = PostponedHits(counter, clock)
        stats = SiteStats(StatsStore(store), clock)
        live = LiveSites(stats, site_store)
        web["streams"].counts.append(lambda: live.watchers)
        metrics.add(*_readings(senders, postponed))
        pending, patterns = _count_pending(site_store), _load(agents, site_store)
        work = (senders.run(), postponed.run(), salts.rewrite_files(), pending, patterns)
        async with background(web["lifecycle"], *work):
            try:
                yield Sites(
                    known_sites=known,
                    hit_counter=counter,
                    postponed_hits=postponed,
                    site_store=site_store,
                    site_stats=stats,
                    live_sites=live,
                    hosts=SitesOfHosts(site_store, known),
                    importer=Importer(
                        store, lambda: web["live_settings"].current.max_import_bytes, settings.site_reached
                    ),
                    countapi=CountApiStore(store, senders),
                    clock=clock,
                )
            finally:
                await senders.flush(FLUSH_TIMEOUT)


async def _load(agents: UserAgents, store: SiteStore) -> None:
    """Loads the patterns as soon as there is a site, so that its first hit need not wait for them."""
    while True:
        with suppress(StoreUnavailable, ResponseError):
            if await store.all_sites("", 1):
                await agents.ready()
                return
        await asyncio.sleep(PENDING_INTERVAL)


async def _count_pending(store: SiteStore) -> None:
    """Counts pending reports every PENDING_INTERVAL."""
    while True:
        await asyncio.sleep(PENDING_INTERVAL)
        with suppress(StoreUnavailable, ResponseError):
            await store.count_all_pending()


def _readings(senders: HitSenders, postponed: PostponedHits) -> list[Reading]:
    return [
        Reading("tallygate_site_hits", "Hits of sites counted.", lambda: senders.counted, counter=True),
        Reading(
            "tallygate_site_hits_dropped",
            "Hits of sites that found the queue full.",
            lambda: senders.dropped + postponed.dropped,
            counter=True,
        ),
        Reading(
            "tallygate_site_hits_waiting",
            "Hits of sites that Redis has not acknowledged yet.",
            lambda: senders.waiting + len(postponed),
        ),
        Reading("tallygate_site_batches", "Batches of hits of sites applied.", lambda: senders.batches, counter=True),
        Reading(
            "tallygate_site_journal_batches",
            "Batches of hits of sites kept until they are durable.",
            lambda: senders.journal,
        ),
    ]
