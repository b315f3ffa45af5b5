"""What goes wrong on the way to Redis: nothing is lost that may be repeated, nothing is repeated that may not be.

Run on uvloop, as uvicorn does: a lost connection looks different there.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store.client import Store, StoreUnavailable
from tests.helpers.proxy import Proxy
from tests.helpers.sockets import PATIENCE, free_port
from tests.helpers.valkey import Valkey, valkey
from tests.helpers.waiting import answers, eventually, refused
from tests.store.conftest import Opened
from tests.store.fake import fake


@pytest.fixture
def own_server(short_folder: Path, request: pytest.FixtureRequest) -> Iterator[Valkey]:
    """A server that a test may stop and kill."""
    with valkey(short_folder / f"own{abs(hash(request.node.name)) % 10**8}") as server:
        yield server


async def test_idempotent_commands_survive_lost_connections(server: Valkey, store: Store) -> None:
    written = 0

    async def write(part: int) -> None:
        nonlocal written
        for number in range(300):
            assert await store.idempotent("SET", f"{part}:{number}", number) == b"OK"
            written += 1

    writers = asyncio.gather(*(write(part) for part in range(10)))
    with server.client as client:
        while not writers.done():
            before = written
            client.client_kill_filter(_type="normal", skipme=True)
            await asyncio.sleep(0.02)
            await eventually(lambda before=before: written > before or writers.done())
    await writers
    assert store.connections > 2
    assert await store.idempotent("DBSIZE") == 3000


async def test_once_is_not_repeated_after_a_lost_reply(between: Proxy, opened: Opened) -> None:
    async with opened(between.url) as store:
        for lost in range(1, 21):
            between.lose_answer_to(b"INCR")
            replies = await asyncio.gather(*(store.once("INCR", "n") for _ in range(5)), return_exceptions=True)
            assert [isinstance(reply, StoreUnavailable) and reply.sent for reply in replies] == [True] * 5
            assert between.lost == lost
            await answers(store, "PING")
        assert await store.idempotent("GET", "n") == b"100"
        assert store.connections == 21


async def test_failure_before_sending_says_not_sent(opened: Opened) -> None:
    port = free_port()
    async with opened(f"redis://127.0.0.1:{port}", timeout=0.3) as store:
        away = await refused(store.once("INCR", "n"))
    assert not away.sent
    assert str(port) in str(away)


async def test_silent_server_is_unavailable_after_the_timeout(own_server: Valkey, opened: Opened) -> None:
    async with opened(own_server.url, timeout=1) as store:
        assert await store.idempotent("SET", "k", "v") == b"OK"
        own_server.send(signal.SIGSTOP)
        started = time.monotonic()
        once, repeated = await asyncio.gather(refused(store.once("INCR", "n")), refused(store.idempotent("GET", "k")))
        assert 0.9 < time.monotonic() - started < PATIENCE
        assert once.sent
        assert repeated.sent
        assert str(once) == "no answer within 1 s"
        started = time.monotonic()
        for _ in range(50):  # by now callers need not wait to hear that it is away
            await refused(store.idempotent("GET", "k"))
        assert time.monotonic() - started < 25  # half of what it would be if each of them waited
        own_server.send(signal.SIGCONT)
        assert await answers(store, "GET", "k") == b"v"


async def test_error_tells_whether_the_command_was_sent(own_server: Valkey, opened: Opened) -> None:
    async with opened(own_server.url, timeout=2) as store:
        own_server.send(signal.SIGSTOP)
        large = asyncio.create_task(store.once("SET", "large", "x" * 4_000_000))
        await eventually(lambda: store.commands == 2)
        await asyncio.sleep(0)
        behind = asyncio.create_task(store.once("INCR", "n"))  # the large one has filled every buffer on the way
        assert (await refused(large)).sent
        assert not (await refused(behind)).sent
        own_server.send(signal.SIGCONT)
        assert await answers(store, "EXISTS", "n") == 0


async def test_service_starts_before_redis(short_folder: Path, opened: Opened) -> None:
    server = Valkey(short_folder / "late")
    started = time.monotonic()
    async with opened(server.url, timeout=PATIENCE) as store:
        away = await refused(store.idempotent("GET", "k"))
        assert time.monotonic() - started < PATIENCE / 2  # neither of the two waited for all of the timeout
        assert not away.sent
        server.start()
        assert await answers(store, "PING") == b"PONG"
        server.stop()


async def test_restarted_server_is_found_with_its_data(own_server: Valkey, opened: Opened) -> None:
    async with opened(own_server.url, timeout=PATIENCE) as store:
        for number in range(1, 4):
            assert await answers(store, "INCR", "n") == number
            await store.once("WAITAOF", 1, 0, 50_000)  # while a sync is under way, an answer may come before the write
            own_server.kill()
            await asyncio.to_thread(own_server.start)
        assert await answers(store, "GET", "n") == b"3"
        assert store.connections == 4


async def test_a_demoted_primary_is_left_for_a_new_connection(server: Valkey, opened: Opened) -> None:
    async with opened(server.url) as store:
        with server.client as client:
            client.replicaof("127.0.0.1", free_port())
            try:
                away = await refused(store.once("SET", "once", "v"))
                await eventually(lambda: not store.up)
            finally:
                client.replicaof("NO", "ONE")
        assert not away.sent
        assert await answers(store, "SET", "k", "v") == b"OK"
        assert await store.idempotent("GET", "once") is None
        assert store.connections == 2  # a server that is still a replica is not connected to


async def test_unexpected_reply_closes_the_connection(opened: Opened) -> None:
    def twice(command: list[bytes]) -> bytes:
        return b"+first\r\n+second\r\n" if command == [b"GET", b"twice"] else b"+PONG\r\n"

    async with fake(twice) as redis, opened(redis.url) as store:
        assert await store.once("GET", "twice") == b"first"
        await eventually(lambda: redis.connections == 2)
        assert await store.idempotent("GET", "other") == b"PONG"


async def test_malformed_reply_closes_the_connection(opened: Opened) -> None:
    def nonsense(command: list[bytes]) -> bytes:
        return b"HTTP/1.1 400 Bad Request\r\n" if command[0] == b"GET" else b"+PONG\r\n"

    async with fake(nonsense) as redis, opened(redis.url, timeout=2) as store:
        assert (await refused(store.idempotent("GET", "k"))).sent
        assert await answers(store, "PING") == b"PONG"


async def test_internal_error_closes_one_connection_and_is_logged(
    opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    """A malformed redirection makes redis-py's parser raise ValueError, which nothing expects."""

    def malformed(command: list[bytes]) -> bytes:
        return b"-MOVED nowhere\r\n" if command[0] == b"GET" else b"+PONG\r\n"

    async with fake(malformed) as redis, opened(redis.url) as store:
        with caplog.at_level(logging.ERROR, "asyncio"):
            assert (await refused(store.once("GET", "k"))).sent
            assert await answers(store, "PING") == b"PONG"
        assert store.connections == 2
    assert "the connection to Redis has ended by an error" in caplog.text


async def test_a_server_that_closes_every_connection_is_not_asked_without_pause(opened: Opened) -> None:
    async with fake(lambda _: None) as redis, opened(redis.url, timeout=1) as store:
        assert (await refused(store.idempotent("GET", "k"))).sent
        assert 2 < redis.connections < 120


async def test_commands_wait_for_a_reconnection(between: Proxy, opened: Opened) -> None:
    async with opened(between.url) as store:
        between.disconnect()
        await eventually(lambda: not store.up)
        assert await store.once("INCR", "n") == 1
        assert store.connections == 2


async def test_a_wait_for_the_connection_ends_with_the_store(opened: Opened) -> None:
    async with opened("redis://127.0.0.1:1", timeout=PATIENCE) as store:
        task = asyncio.create_task(store.once("PING"))
        await asyncio.sleep(0)
    assert not (await refused(task)).sent


async def test_a_long_script_of_somebody_else_is_waited_for(server: Valkey, opened: Opened) -> None:
    async with opened(server.url, timeout=PATIENCE) as store:
        with server.client as client:
            client.config_set("busy-reply-threshold", 50)
            try:
                ends = time.monotonic() + 1
                spin = (
                    "local t = redis.call('TIME'); local e = t[1] + t[2] / 1e6 + 1; repeat t = redis.call('TIME') "
                    "until t[1] + t[2] / 1e6 > e"
                )
                spinning = asyncio.create_task(asyncio.to_thread(client.eval, spin, 0))
                await asyncio.sleep(0.3)
                assert await store.once("PING") == b"PONG"
                assert time.monotonic() > ends - 0.1
                await spinning
            finally:
                client.config_set("busy-reply-threshold", 5000)


async def test_a_script_that_does_not_end_counts_as_away(opened: Opened) -> None:
    async with (
        fake(lambda _: b"-BUSY Redis is busy running a script.\r\n") as redis,
        opened(redis.url, timeout=0.3) as store,
    ):
        assert "busy" in str(await refused(store.once("INCR", "n")))
