"""Redis takes back what it had acknowledged, and the count is right all the same. In full by `make faults`."""

import asyncio
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from app.counter.journal import MIN_KEEP_SECONDS
from tests.helpers.fault_scenarios import reckon, serving, times, under_load
from tests.helpers.proxy import Proxy, proxy
from tests.helpers.valkey import Valkey, valkey
from tests.helpers.waiting import eventually

pytestmark = pytest.mark.faults
UNSYNCED = 0.8
"""Seconds after a sync for which a server with `appendfsync everysec` surely has not synced again."""

AT_ONCE = ("--repl-diskless-sync-delay", "0")
"""A primary waits 5 s for more replicas before it serves the first."""


@pytest.mark.slow
async def test_a_file_cut_back_to_its_last_sync_leaves_the_total_right(tmp_path: Path, short_folder: Path) -> None:
    with valkey(short_folder / "cut") as server:
        async with serving(tmp_path, redis_url=server.url) as service, under_load(service) as visits:
            for _ in range(times(2, 20)):
                begun = time.monotonic()
                file, synced = await asyncio.to_thread(sync, server)
                await asyncio.sleep(random.uniform(0.3, UNSYNCED))
                await asyncio.to_thread(server.kill)
                cut = file.stat().st_size - synced
                if (
                    time.monotonic() - begun < MIN_KEEP_SECONDS
                ):  # else the power would not have been lost so soon after the sync
                    os.truncate(file, synced)
                assert cut > 0, "nothing was written that could be lost"
                await asyncio.to_thread(server.start)
                await visits.told(1000)
            visits.stop()
            visits.assert_distinct()
            await reckon(service, visits, server.client)


def sync(server: Valkey) -> tuple[Path, int]:
    """(the server's file, a length of which it is known that a power loss would spare it)."""
    with server.client as client:
        client.config_set("appendfsync", "always")
        client.set("synced", time.time())
        file = max((server.folder / "appendonlydir").glob("*.incr.aof"), key=lambda path: path.stat().st_mtime)
        size = file.stat().st_size
        client.config_set("appendfsync", "everysec")
    return file, size


@pytest.mark.slow
async def test_a_fail_over_to_a_replica_that_lagged_leaves_the_total_right(tmp_path: Path, short_folder: Path) -> None:
    primary, replica = (Valkey(short_folder / side, *AT_ONCE).start() for side in ("left", "right"))
    try:
        async with proxy(primary.socket) as link, proxy(primary.socket) as front:
            await follow(replica, link)
            async with serving(tmp_path, redis_url=front.url) as service, under_load(service) as visits:
                for round_ in range(times(1, 6)):
                    link.freeze()
                    # Longer than a batch is kept for the file's sake: now it is the replica that is waited for.
                    await asyncio.sleep(random.uniform(3.5, 5) if round_ % 2 == 0 else random.uniform(0.2, 1))
                    await fail_over(primary, replica, link, front)
                    primary, replica = replica, primary
                    await visits.told(1000)
                    await asyncio.to_thread(replica.start)
                    await follow(replica, link)
                visits.stop()
                visits.assert_distinct()
                await reckon(service, visits, primary.client)
    finally:
        primary.kill()  # a primary that is asked to end waits for replicas that lag
        replica.kill()


async def fail_over(primary: Valkey, replica: Valkey, link: Proxy, front: Proxy) -> None:
    behind = int(_info(primary)["master_repl_offset"]) - int(_info(replica)["master_repl_offset"])
    await asyncio.to_thread(primary.kill)
    link.disconnect()
    link.thaw()
    with replica.client as client:
        client.replicaof("NO", "ONE")
    link.target = front.target = replica.socket
    front.disconnect()
    print(f"the replica was {behind} bytes behind")
    assert behind > 0


async def follow(replica: Valkey, link: Proxy) -> None:
    with replica.client as client:
        client.replicaof("127.0.0.1", str(link.port))
    await eventually(lambda: _info(replica).get("master_link_status") == "up", what="the replica")


def _info(server: Valkey) -> dict[str, Any]:
    with server.client as client:
        info: Any = client.info("replication")
    return dict(info)
