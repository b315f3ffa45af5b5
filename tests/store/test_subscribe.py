"""Messages of a channel, for ever: None says that some may have been missed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest

from app.store import subscriptions
from app.store.client import Store
from app.store.tracking import Tracking
from tests.helpers.proxy import Proxy
from tests.helpers.service import Running
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import eventually
from tests.store.conftest import Opened, tracked
from tests.store.fake import fake

SUBSCRIBED = b">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"


async def heard(messages: AsyncGenerator[bytes | None]) -> bytes | None:
    async with asyncio.timeout(PATIENCE):
        return await anext(messages)


async def test_messages_come_in_their_order_after_a_first_none(store: Store, tracking: Tracking) -> None:
    async with aclosing(tracking.subscribe("news")) as messages:
        assert await heard(messages) is None
        for number in range(100):
            await store.once("PUBLISH", "news", number)
        assert [await heard(messages) for _ in range(100)] == [str(number).encode() for number in range(100)]


async def test_all_subscribers_share_the_connection_of_invalidations(
    server: Valkey, store: Store, tracking: Tracking
) -> None:
    channels = [tracking.subscribe(name) for name in ("news", "news", "weather")]
    assert [await heard(messages) for messages in channels] == [None] * 3
    await store.once("PUBLISH", "news", "here")
    await store.once("PUBLISH", "weather", "rain")
    assert [await heard(messages) for messages in channels] == [b"here", b"here", b"rain"]
    await tracking.tracked.idempotent("GET", "read")
    with server.client as client:
        (listening,) = client.client_list(_type="pubsub")
    assert (listening["sub"], "t" in listening["flags"]) == ("2", True)
    for messages in channels:
        await messages.aclose()


async def test_replies_and_messages_on_one_connection_are_not_confused(store: Store, tracking: Tracking) -> None:
    async with aclosing(tracking.subscribe("news")) as messages:
        assert await heard(messages) is None
        for number in range(200):
            await store.once("PUBLISH", "news", number)
            assert await tracking.tracked.idempotent("ECHO", number) == str(number).encode()
        assert [await heard(messages) for _ in range(200)] == [str(number).encode() for number in range(200)]


@pytest.mark.parametrize("kind", ["pubsub", "normal"])
async def test_a_lost_subscription_is_made_again_and_says_so(
    server: Valkey, store: Store, tracking: Tracking, kind: str
) -> None:
    async with aclosing(tracking.subscribe("news")) as messages:
        assert await heard(messages) is None
        with server.client as client:
            client.client_kill_filter(_type=kind, skipme=True)
            if kind == "pubsub":
                assert await heard(messages) is None
            await eventually(lambda: store.up)
            client.publish("news", "again")
        assert await heard(messages) == b"again"


async def test_a_slow_subscriber_gets_none_for_what_was_dropped(
    store: Store, tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "MAX_WAITING", 10)
    async with aclosing(tracking.subscribe("news")) as slow, aclosing(tracking.subscribe("news")) as other:
        assert (await heard(slow), await heard(other)) == (None, None)
        for number in range(12):
            await store.once("PUBLISH", "news", number)
            assert await heard(other) == str(number).encode()
        assert [await heard(slow) for _ in range(2)] == [None, b"11"]


@pytest.mark.slow
async def test_a_quiet_channel_stays_subscribed(server: Valkey, opened: Opened) -> None:
    async with (
        opened(server.url, timeout=1) as store,
        tracked(store) as tracking,
        aclosing(tracking.subscribe("news")) as messages,
    ):
        assert await heard(messages) is None
        with server.client as client:

            def pings() -> int:
                return int(client.info("commandstats").get("cmdstat_ping", {"calls": 0})["calls"])

            before = pings()
            listening = asyncio.create_task(heard(messages))
            await eventually(lambda: pings() - before >= 2)
            client.publish("news", "still here")
        assert await listening == b"still here"


@pytest.mark.slow
async def test_a_server_that_falls_silent_is_left(between: Proxy, opened: Opened) -> None:
    async with (
        opened(between.url, timeout=1) as store,
        tracked(store) as tracking,
        aclosing(tracking.subscribe("news")) as messages,
    ):
        assert await heard(messages) is None
        between.freeze()
        await eventually(lambda: not tracking.tracked.up)
        between.thaw()
        assert await heard(messages) is None


async def test_subscription_waits_for_redis(short_folder: Path, opened: Opened) -> None:
    server = Valkey(short_folder / "news")
    async with (
        opened(server.url, timeout=0.3) as store,
        tracked(store) as tracking,
        aclosing(tracking.subscribe("news")) as messages,
    ):
        first = asyncio.create_task(heard(messages))
        server.start()
        assert await first is None
        server.stop()


@pytest.mark.slow
async def test_a_cluster_without_a_node_that_answers_is_waited_for(opened: Opened) -> None:
    """Which once ended the subscription for ever: the node of a channel is looked for before connecting to it."""
    slots = b"-ERR not yet\r\n"

    def answer(command: list[bytes]) -> bytes:
        match command[0]:
            case b"CLUSTER":
                return slots
            case b"SUBSCRIBE":
                return SUBSCRIBED
            case b"CLIENT":
                return b"+OK\r\n"
            case _:
                return b"+PONG\r\n"

    async with fake(answer) as redis:
        url = redis.url.replace("redis:", "redis+cluster:")
        async with (
            opened(url, timeout=0.2) as store,
            tracked(store) as tracking,
            aclosing(tracking.subscribe("news")) as messages,
        ):
            first = asyncio.create_task(heard(messages))
            await eventually(lambda: redis.connections > 3)
            slots = b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n" % redis.port
            assert await first is None


async def test_a_worker_opens_four_connections(server: Valkey, service: Running) -> None:
    """For commands, for invalidations and messages, and two that wait until the disk has visits and hits (WAITAOF)."""
    with server.client as client:
        await eventually(lambda: [one["sub"] for one in client.client_list(_type="pubsub")] == ["4"])
        await service.client.get("/")
        await eventually(lambda: len(client.client_list()) == 4 + 1)  # one is the client's own
