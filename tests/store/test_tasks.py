"""Coroutines that run together, cancelled at every moment of a failure."""

import asyncio

import pytest

from app.store.client import StoreUnavailable
from app.store.connection import NodeConnection
from app.store.tasks import run_until_one_ends
from app.store.topology import topology
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey

OFFSETS = range(14)
"""Loop turns between the loss of a connection and the cancellation."""


async def _fail_after(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
    raise OSError("lost")


async def _for_ever() -> None:
    await asyncio.Event().wait()


async def test_first_error_is_raised_and_other_tasks_are_cancelled() -> None:
    other = asyncio.create_task(_for_ever())

    async def waits() -> None:
        await other

    with pytest.raises(OSError, match="lost"):
        await run_until_one_ends(_fail_after(2), waits())
    assert other.cancelled()


@pytest.mark.parametrize("offset", OFFSETS)
async def test_cancellation_ends_a_reconnecting_loop_at_every_offset(offset: int) -> None:
    async def reconnects() -> None:
        while True:
            try:
                await run_until_one_ends(_fail_after(5), _for_ever(), _for_ever())
            except OSError:
                await asyncio.sleep(0)

    task = asyncio.create_task(reconnects())
    for _ in range(offset):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=PATIENCE)
    assert done
    assert task.cancelled()


@pytest.mark.parametrize("offset", OFFSETS)
async def test_stop_during_a_connection_loss_ends(offset: int, server: Valkey) -> None:
    places = topology(server.url, timeout=PATIENCE)
    await places.refresh()
    (node,) = places.nodes()
    connection = NodeConnection(lambda: places.connect(node), timeout=PATIENCE)
    running = asyncio.create_task(connection.run())
    assert await connection.wait_up(asyncio.get_running_loop().time() + PATIENCE)
    own = await connection.send("CLIENT", "ID")
    lost = connection.send("CLIENT", "KILL", "ID", own, "SKIPME", "no")
    await asyncio.wait([lost], timeout=PATIENCE)
    for _ in range(offset):
        await asyncio.sleep(0)
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=PATIENCE)
    assert done
    assert running.cancelled()
    with pytest.raises(StoreUnavailable):
        await connection.send("PING")
