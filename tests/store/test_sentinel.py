"""Redis behind Sentinel: the primary is whom Sentinel names, and after a fail-over that is another."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.helpers.sockets import PATIENCE, free_port, free_ports
from tests.helpers.valkey import Valkey, valkey
from tests.helpers.waiting import answers, refused, until
from tests.store.conftest import Opened
from tests.store.sentinel import PASSWORD, SERVICE, Sentinel, sentinel


@dataclass
class Watched:
    primary: Valkey
    replica: Valkey
    sentinel: Sentinel

    def url(self, service: str = SERVICE, *hosts: str, suffix: str = "") -> str:
        places = ",".join([*hosts, f"127.0.0.1:{self.sentinel.port}"])
        return f"redis+sentinel://visitor:secret@{places}/{service}{suffix}?sentinel_password={quote(PASSWORD)}"


@pytest.fixture(scope="module")
def watched(short_folder: Path) -> Iterator[Watched]:
    """A primary and its replica, which know the same user, and a Sentinel with a password of its own."""
    first, second = free_ports(2)
    options = ("--repl-diskless-sync-delay", "0", "--user", "visitor", "on", ">secret", "~*", "&*", "+@all")
    with ExitStack() as stack:
        primary = stack.enter_context(valkey(short_folder / "primary", "--port", str(first), *options))
        replica = stack.enter_context(
            valkey(short_folder / "replica", "--port", str(second), "--replicaof", f"127.0.0.1 {first}", *options)
        )
        with replica.client as client:
            until(lambda: client.info("replication")["master_link_status"] == "up")
        yield Watched(primary, replica, stack.enter_context(sentinel(short_folder / "sentinel", first)))


async def test_the_primary_is_found_through_sentinel(watched: Watched, opened: Opened) -> None:
    async with opened(watched.url(suffix="/2")) as store:
        assert await store.once("SET", "k", "v") == b"OK"
        assert (await store.idempotent("ROLE"))[0] == b"master"
        info = (await store.idempotent("CLIENT", "INFO")).decode()
        assert " db=2 " in info
        assert " user=visitor " in info


async def test_one_unavailable_sentinel_is_skipped(watched: Watched, opened: Opened) -> None:
    down = f"127.0.0.1:{free_port()}"
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        async with opened(
            watched.url(SERVICE, down, f"127.0.0.1:{silent.getsockname()[1]}"), timeout=PATIENCE
        ) as store:
            assert await store.idempotent("PING") == b"PONG"
        assert time.monotonic() - started < PATIENCE  # for which the silent one kept silent


async def test_a_service_that_sentinel_does_not_know_is_named(watched: Watched, opened: Opened) -> None:
    async with opened(watched.url("orders")) as store:
        assert str(await refused(store.idempotent("PING"))) == "Sentinel does not know the service orders"


async def test_store_without_reachable_sentinels_is_unavailable(opened: Opened) -> None:
    async with opened(f"redis+sentinel://127.0.0.1:{free_port()}/visits") as store:
        assert "127.0.0.1" in str(await refused(store.idempotent("PING")))


@pytest.mark.slow
async def test_store_follows_a_fail_over(watched: Watched, opened: Opened) -> None:
    """The last test of this module: afterwards the replica is the primary."""
    async with opened(watched.url()) as store:
        assert await store.once("SET", "before", "v") == b"OK"
        with watched.replica.client as client:
            until(lambda: client.get("before") == b"v")
        watched.sentinel.lose_patience()
        await asyncio.to_thread(watched.primary.kill)
        assert await answers(store, "SET", "after", "v") == b"OK"
        assert await store.idempotent("GET", "before") == b"v"
        assert (await store.idempotent("ROLE"))[0] == b"master"
        with watched.replica.client as client:
            assert client.get("after") == b"v"
