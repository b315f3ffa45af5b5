"""News of keys that were read and have changed since come down the connection on which they were read."""

import pytest

from tests.helpers.proxy import Proxy
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import answers, eventually, refused
from tests.store.conftest import Opened
from tests.store.fake import fake


class Diary:
    """Writes down what a tracker is told."""

    def __init__(self) -> None:
        self.changes: list[list[bytes] | None] = []
        self.losses = 0

    def changed(self, keys: list[bytes] | None) -> None:
        self.changes.append(keys)

    def opened(self) -> None:
        pass

    def message(self, channel: str, data: bytes) -> None:
        pass

    def lost(self, connection: object) -> None:
        self.losses += 1


async def test_a_change_of_a_key_that_was_read_is_told(server: Valkey, opened: Opened) -> None:
    diary = Diary()
    async with opened(server.url, tracker=diary) as store:
        await store.idempotent("HGETALL", "watched")
        with server.client as client:
            client.hset("unwatched", "a", "1")
            client.hset("watched", "a", "1")
            await eventually(lambda: diary.changes)
            client.flushall()
            await eventually(lambda: diary.changes[1:])
        assert diary.changes == [[b"watched"], None]
        assert diary.losses == 0
    assert diary.losses == 1


@pytest.mark.slow
async def test_thousands_of_invalidations_keep_replies_in_order(server: Valkey, opened: Opened) -> None:
    diary = Diary()
    async with opened(server.url, tracker=diary) as store:
        for number in range(3000):
            assert await store.idempotent("GET", f"k{number}") is None
        with server.client as client, client.pipeline() as pipeline:
            for number in range(3000):
                pipeline.set(f"k{number}", number)
            pipeline.execute()
        assert await store.idempotent("GET", "k1500") == b"1500"
        await eventually(lambda: len(diary.changes) == 3000)
        assert store.connections == 1


async def test_reconnection_restarts_tracking(server: Valkey, opened: Opened) -> None:
    diary = Diary()
    async with opened(server.url, tracker=diary) as store:
        with server.client as client:
            client.client_kill_filter(_type="normal", skipme=True)
            await eventually(lambda: diary.losses == 1)
            await answers(store, "GET", "k")
            client.set("k", "v")
        await eventually(lambda: diary.changes == [[b"k"]])


async def test_a_server_that_refuses_to_track_is_not_asked_without_pause(opened: Opened) -> None:
    def refuse(command: list[bytes]) -> bytes:
        return b"-NOPERM no tracking for you\r\n" if command[0] == b"CLIENT" else b"+PONG\r\n"

    async with fake(refuse) as redis, opened(redis.url, tracker=Diary()) as store:
        assert "no tracking for you" in str(await refused(store.idempotent("PING")))
        assert not store.up
        assert redis.connections < 12


@pytest.mark.slow
async def test_silent_peer_is_detected_on_an_idle_connection(between: Proxy, opened: Opened) -> None:
    diary = Diary()
    async with opened(between.url, timeout=1, tracker=diary) as store:
        between.freeze()
        await eventually(lambda: diary.losses == 1)
        assert not store.up
        between.thaw()
        assert await answers(store, "PING") == b"PONG"
