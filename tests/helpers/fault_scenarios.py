"""What the fault tests share: a service under load, and the reckoning at the end."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import redis

from app.store.keys import HITS_TOTALS
from tests.helpers.load import Load, load
from tests.helpers.service import Process, process
from tests.helpers.waiting import eventually

FULL = os.environ.get("TALLYGATE_TEST_FAULTS") == "full"


def times(short: int, full: int) -> int:
    """How often a fault happens: a few times within the suite, often by `make faults`."""
    return full if FULL else short


def total(client: "redis.Redis") -> int:
    """The home page's total, as Redis has it."""
    with client:
        value = client.hget(HITS_TOTALS, "home")
    assert value is None or isinstance(value, bytes)
    return int(value or 0)


def total_where_away(client: "redis.Redis") -> int:
    """The same, or -1 while the server is away."""
    try:
        return total(client)
    except (redis.ConnectionError, redis.TimeoutError):
        return -1


@asynccontextmanager
async def under_load(service: Process, visitors: int = 8) -> AsyncIterator[Load]:
    url = await asyncio.to_thread(service.url)
    async with load(url, visitors) as visits:
        await visits.told()
        yield visits


async def reckon(service: Process, visits: Load, client: "redis.Redis") -> None:
    """Every visit that was answered is in the total once, when all is quiet and the service has ended."""
    await eventually(lambda: total_where_away(client) >= visits.answered, what=f"a total of {visits.answered}")
    code = await asyncio.to_thread(service.end)
    counted = total(client)
    print(f"{visits.answered} visits answered ({visits.unknown} without a number), {counted} counted")
    assert counted == visits.answered
    assert code == 0, service.output


@asynccontextmanager
async def serving(folder: Path, **settings: str) -> AsyncIterator[Process]:
    """The service as a process with two workers, whose end does not stop this process' event loop."""
    scope = process(folder, **{"port": "0", "workers": "2"} | settings)
    service = scope.__enter__()
    try:
        yield service
    finally:
        await asyncio.to_thread(scope.__exit__, None, None, None)
