"""Messages of a channel, for ever: None says that some may have been missed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from app.store.client import Store
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import eventually
from tests.store.conftest import Opened
from tests.store.fake import fake

SUBSCRIBED = b">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"


async def heard(messages: AsyncGenerator[bytes | None]) -> bytes | None:
    async with asyncio.timeout(PATIENCE):
        return await anext(messages)


def clients(server: Valkey, kind: str) -> int:
    with server.client as client:
        return len(client.client_list(_type=kind))


async def test_messages_come_in_their_order_after_a_first_none(store: Store) -> None:
    async with aclosing(store.subscribe("news")) as messages:
        assert await heard(messages) is None
        for number in range(100):
            await store.once("PUBLISH", "news", number)
        assert [await heard(messages) for _ in range(100)] == [str(number).encode() for number in range(100)]


async def test_a_lost_subscription_is_made_again_and_says_so(server: Valkey, store: Store) -> None:
    async with aclosing(store.subscribe("news")) as messages:
        assert await heard(messages) is None
        with server.client as client:
            client.client_kill_filter(_type="pubsub")
        assert await heard(messages) is None
        await store.once("PUBLISH", "news", "again")
        assert await heard(messages) == b"again"


async def test_a_quiet_channel_stays_subscribed(server: Valkey, opened: Opened) -> None:
    async with opened(server.url, timeout=1) as store, aclosing(store.subscribe("news")) as messages:
        assert await heard(messages) is None
        with server.client as client:

            def pings() -> int:
                return int(client.info("commandstats").get("cmdstat_ping", {"calls": 0})["calls"])

            before = pings()
            listening = asyncio.create_task(heard(messages))
            await eventually(lambda: pings() - before >= 2)
            client.publish("news", "still here")
        assert await listening == b"still here"


async def test_a_server_that_falls_silent_is_left(opened: Opened) -> None:
    def only_subscribes(command: list[bytes]) -> bytes:
        return SUBSCRIBED if command[0] == b"SUBSCRIBE" else b""

    async with (
        fake(only_subscribes) as redis,
        opened(redis.url, timeout=0.3) as store,
        aclosing(store.subscribe("news")) as messages,
    ):
        assert [await heard(messages) for _ in range(3)] == [None] * 3
        assert redis.asked.count([b"SUBSCRIBE", b"news"]) == 3


async def test_subscription_waits_for_redis(short_folder: Path, opened: Opened) -> None:
    server = Valkey(short_folder / "news")
    async with opened(server.url, timeout=0.3) as store, aclosing(store.subscribe("news")) as messages:
        first = asyncio.create_task(heard(messages))
        server.start()
        assert await first is None
        server.stop()


async def test_a_cluster_without_a_node_that_answers_is_waited_for(opened: Opened) -> None:
    """Which once ended the subscription for ever: the node of a channel is looked for before connecting to it."""
    slots = b"-ERR not yet\r\n"

    def answer(command: list[bytes]) -> bytes:
        match command[0]:
            case b"CLUSTER":
                return slots
            case b"SUBSCRIBE":
                return SUBSCRIBED
            case _:
                return b"+PONG\r\n"

    async with fake(answer) as redis:
        url = redis.url.replace("redis:", "redis+cluster:")
        async with opened(url, timeout=0.2) as store, aclosing(store.subscribe("news")) as messages:
            first = asyncio.create_task(heard(messages))
            await eventually(lambda: redis.connections > 3)
            slots = b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n" % redis.port
            assert await first is None


async def test_closing_a_subscription_closes_its_connection(server: Valkey, store: Store) -> None:
    async with aclosing(store.subscribe("news")) as messages:
        assert await heard(messages) is None
        await eventually(lambda: clients(server, "pubsub") == 1)  # those of other tests may be about to go
    await eventually(lambda: clients(server, "pubsub") == 0)


async def test_cancelled_subscriber_closes_its_connection(server: Valkey, store: Store) -> None:
    async def listen() -> None:
        async with aclosing(store.subscribe("news")) as messages:
            async for _ in messages:
                pass

    listening = asyncio.create_task(listen())
    await eventually(lambda: clients(server, "pubsub") == 1)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await eventually(lambda: clients(server, "pubsub") == 0)
