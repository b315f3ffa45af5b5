"""One connection for everybody: what is asked in one tick travels together, and everybody gets the own answer."""

import asyncio
import random

import pytest

from app.store.client import ResponseError, Store, StoreUnavailable
from app.store.connection import NodeConnection
from app.store.topology import topology
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import eventually, refused
from tests.store.conftest import Opened


def server_reads(server: Valkey) -> int:
    """How often the server has read from a connection, this question included."""
    with server.client as client:
        return int(client.info("stats")["total_reads_processed"])


async def test_commands_of_one_tick_share_a_pipeline(server: Valkey, store: Store) -> None:
    before = server_reads(server)
    alone = server_reads(server) - before  # what a look itself costs
    before = server_reads(server)
    replies = await asyncio.gather(*(store.idempotent("HSET", "h", f"field-{n}", n) for n in range(200)))
    assert replies == [1] * 200
    assert server_reads(server) - before - alone <= 2


async def test_thousands_of_concurrent_commands_get_their_own_answers(store: Store) -> None:
    async def echo(number: int) -> bool:
        await asyncio.sleep(random.random() / 20)
        text = f"{number}-" + "x" * random.choice((0, 10, 5000))
        return bool(await store.idempotent("ECHO", text) == text.encode())

    assert all(await asyncio.gather(*(echo(number) for number in range(2000))))
    assert store.connections == 1
    assert store.commands == 2001  # and the PING at the start


async def test_an_error_is_the_answer_to_its_own_command_only(store: Store) -> None:
    replies = await asyncio.gather(
        store.once("SET", "text", "a"),
        store.once("LPUSH", "text", "b"),
        store.once("NOSUCHCOMMAND", "c"),
        store.once("GET", "text"),
        return_exceptions=True,
    )
    assert replies[0] == b"OK"
    assert replies[3] == b"a"
    assert [type(reply) for reply in replies[1:3]] == [ResponseError, ResponseError]
    assert str(replies[1]).startswith("WRONGTYPE")
    assert store.connections == 1


async def test_all_argument_types_arrive_unchanged(store: Store) -> None:
    await store.idempotent("RPUSH", b"\xffkey", "文字", b"\r\n\x00", -3, 0.5)
    assert await store.idempotent("LRANGE", b"\xffkey", 0, -1) == ["文字".encode(), b"\r\n\x00", b"-3", b"0.5"]


async def test_cancelled_caller_does_not_disturb_others(store: Store) -> None:
    tasks = [asyncio.create_task(store.once("ECHO", n)) for n in range(1000)]
    for wait in range(3):  # before they are sent, while they are, and while they are answered
        await asyncio.sleep(0)
        for task in tasks[wait::7]:
            task.cancel()
    replies = await asyncio.gather(*tasks, return_exceptions=True)
    for number, reply in enumerate(replies):
        assert isinstance(reply, asyncio.CancelledError) or reply == str(number).encode()
    assert 100 < sum(isinstance(reply, asyncio.CancelledError) for reply in replies) < 900
    assert store.connections == 1


async def test_a_cancelled_write_has_still_been_sent(server: Valkey, store: Store) -> None:
    task = asyncio.create_task(store.once("INCR", "n"))
    await asyncio.sleep(0)
    task.cancel()
    assert await store.once("GET", "n") == b"1"


async def test_more_commands_than_the_queue_holds_are_refused_at_once(server: Valkey) -> None:
    nodes = topology(server.url, 5)
    wire = NodeConnection(lambda: nodes.connect(""), timeout=5, limit=10)
    with pytest.raises(StoreUnavailable, match="not connected yet"):
        wire.send("ECHO", "too early")
    running = asyncio.create_task(wire.run())
    await eventually(lambda: wire.up)
    waiting = [wire.send("ECHO", n) for n in range(10)]
    with pytest.raises(StoreUnavailable, match="too many commands") as refusal:
        wire.send("ECHO", "one more")
    assert not refusal.value.sent
    assert await asyncio.gather(*waiting) == [str(n).encode() for n in range(10)]
    assert await wire.send("ECHO", "there is room again") == b"there is room again"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_full_queue_refuses_instead_of_holding_up_the_event_loop(server: Valkey, opened: Opened) -> None:
    async with opened(server.url, timeout=PATIENCE) as store:
        asked = [asyncio.create_task(store.idempotent("ECHO", n)) for n in range(10_100)]
        started = asyncio.get_running_loop().time()
        replies = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(reply, StoreUnavailable) for reply in replies) == 100
        assert asyncio.get_running_loop().time() - started < PATIENCE  # each of the 100 once took the whole timeout


async def test_a_store_that_was_closed_refuses(server: Valkey, opened: Opened) -> None:
    async with opened(server.url) as store:
        pass
    away = await refused(store.idempotent("PING"))
    assert not away.sent
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("redis ")]


async def test_waiting_commands_fail_when_the_store_closes(server: Valkey, opened: Opened) -> None:
    async with opened(server.url) as store:
        task = asyncio.create_task(store.once("BLPOP", "nothing", 0))
        await eventually(lambda: store.commands == 2)
    assert (await refused(task)).sent


async def test_a_sibling_has_connections_of_its_own(server: Valkey, store: Store) -> None:
    async with store.sibling() as sibling:
        blocked = asyncio.create_task(sibling.once("BLPOP", "list", 5))
        await eventually(lambda: sibling.commands == 2)
        await store.once("RPUSH", "list", "here")
        assert await blocked == [b"list", b"here"]


async def test_up_says_whether_the_connection_is_there(server: Valkey, opened: Opened) -> None:
    async with opened(server.url) as store:
        assert store.up
    assert not store.up
