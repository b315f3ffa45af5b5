"""Raises `store.lost` and `store.back`: both when Redis answers again, by the first worker that sees it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from app.events.catalogue import StoreBack, StoreLost
from app.events.event import new_record
from app.events.stream import RAISE
from app.store import keys
from app.store.client import ResponseError, Store, StoreUnavailable
from app.store.scripts import Script

CHECK_INTERVAL = 0.2

# Every worker sees a loss. A report covers all losses that began before it.
TELL = Script(
    RAISE
    + """
local told = redis.call('GET', KEYS[1])
if told and tonumber(ARGV[1]) <= tonumber(told) then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', 3600)
raise_event(KEYS[2], ARGV[3])
raise_event(KEYS[2], ARGV[4])
return 1
"""
)


async def watch_store(
    store: Store, shortest: float, clock: Callable[[], float], interval: float = CHECK_INTERVAL
) -> None:
    """Watches until cancelled. Reports no loss shorter than `shortest` seconds, and none before the first contact."""
    reached = False
    lost_at: float | None = None
    while True:
        await asyncio.sleep(interval)
        if not store.up:
            lost_at = clock() if lost_at is None and reached else lost_at
            continue
        if lost_at is not None and clock() - lost_at >= shortest:
            with suppress(StoreUnavailable, ResponseError):
                await _tell(store, lost_at, clock)
                lost_at = None
        else:
            lost_at = None
        reached = True


async def _tell(store: Store, lost_at: float, clock: Callable[[], float]) -> None:
    back_at = clock()
    lost = new_record(StoreLost(since=lost_at), lambda: lost_at)
    back = new_record(StoreBack(seconds=round(back_at - lost_at, 3)), lambda: back_at)
    touched = [keys.EVENTS_STORE_BACK, keys.raised("events")]
    await TELL.run(store, touched, repr(lost_at), repr(back_at), lost.dump(), back.dump())
