"""The part of the lifespan that opens the counter, and the request state that it fills."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

from app.accounts.lifespan import AccountState
from app.counter.live import Live
from app.counter.store import CounterStore
from app.counter.tally import Tally
from app.observability.metrics import Metrics, Reading
from app.server.background import background
from app.web.lifespan import WebState

HOME = "home"
"""The name of the home page's counter."""
COUNTERS = (HOME,)
"""Counters whose totals are streamed."""
FLUSH_TIMEOUT = 0.7
"""Seconds that a stop waits for Redis to acknowledge the last visits."""


class Counter(TypedDict):
    """Filled by `open_counter`."""

    tally: Tally
    live: Live


class CounterState(AccountState, Counter):
    """The request state of the counter's handlers."""


@asynccontextmanager
async def open_counter(web: WebState, metrics: Metrics) -> AsyncIterator[Counter]:
    """Counts until the block ends, then waits up to FLUSH_TIMEOUT for Redis to acknowledge the last visits."""
    store = web["store"]
    async with store.sibling() as barrier:
        counter = CounterStore(store, barrier, web["settings"].counter_reached)
        web["health"].add("redis", counter.failure)
        live = Live(web["tracking"], counter, COUNTERS)
        tally = Tally(counter, max_queued=web["settings"].max_queued_hits, changed=live.changed)
        web["streams"].counts.append(lambda: live.watchers)
        web["health"].add_warning(tally.eviction_warning)
        metrics.add(*_readings(tally))
        async with background(web["lifecycle"], tally.run(), live.run()):
            try:
                yield Counter(tally=tally, live=live)
            finally:
                await tally.flush(FLUSH_TIMEOUT)


def _readings(tally: Tally) -> list[Reading]:
    return [
        Reading("tallygate_visits", "Visits counted.", lambda: tally.counted, counter=True),
        Reading("tallygate_visits_dropped", "Visits that found the queue full.", lambda: tally.dropped, counter=True),
        Reading("tallygate_visits_waiting", "Visits that Redis has not acknowledged yet.", lambda: tally.waiting),
        Reading("tallygate_batches", "Batches of visits applied.", lambda: tally.batches, counter=True),
        Reading("tallygate_journal_batches", "Batches kept until they are durable.", lambda: len(tally.journal)),
    ]
