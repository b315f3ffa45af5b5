"""A Redis that answers and refuses: one line in the log that names what is missing, and few attempts."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.settings import Settings
from tests.helpers.service import running
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import valkey
from tests.helpers.waiting import eventually, refused
from tests.store.conftest import Opened, tracked
from tests.store.fake import fake
from tests.store.test_tracking import Diary

Answer = Callable[[list[bytes]], bytes | None]


def says(name: bytes, error: bytes) -> Answer:
    return lambda command: error if command[0] == name else b"+OK\r\n"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (b"-NOPERM User app has no permissions to run the 'client|tracking' command\r\n", "client|tracking"),
        (b"-NOAUTH Authentication required.\r\n", "password"),
        (b"-DENIED Redis is running in protected mode\r\n", "protected mode"),
    ],
)
async def test_a_refused_connection_is_one_line(opened: Opened, error: bytes, reason: str) -> None:
    with capture_logs() as lines:
        async with fake(says(b"CLIENT", error)) as redis, opened(redis.url, tracker=Diary()) as store:
            assert reason in str(store.refusals.current)
            await eventually(lambda: redis.connections > 1)
    (line,) = [line for line in lines if line["event"] == "Redis refuses"]
    assert (line["part"], reason in line["reason"]) == ("tracking", True)


@pytest.mark.slow
async def test_a_refused_connection_backs_off(opened: Opened) -> None:
    refuses = says(b"CLIENT", b"-NOAUTH Authentication required.\r\n")
    async with fake(refuses) as redis, opened(redis.url, tracker=Diary()):
        await asyncio.sleep(3)
        assert redis.connections < 12


async def test_wrong_password_is_named_until_it_is_right(opened: Opened, short_folder: Path) -> None:
    with valkey(short_folder / "password") as server, server.client as client, capture_logs() as lines:
        client.config_set("requirepass", "right")
        async with opened(f"{server.url}?password=wrong", timeout=0.5) as store:
            assert "password" in str(store.refusals.current)
            client.execute_command("AUTH", "right")
            client.config_set("requirepass", "wrong")
            await eventually(lambda: store.up)
            assert store.refusals.current is None
    assert [line["event"] for line in lines] == ["Redis refuses", "Redis accepts"]


@pytest.mark.slow
async def test_a_read_only_replica_is_named_and_asked_once_a_second(opened: Opened, short_folder: Path) -> None:
    with valkey(short_folder / "replica") as server, server.client as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        async with opened(server.url, timeout=0.5) as store:
            assert "read only" in str(await refused(store.once("SET", "a", "1"))) + str(store.refusals.current)
            before = store.connections
            for _ in range(20):
                await refused(store.once("SET", "a", "1"))
                await asyncio.sleep(0.05)
            assert store.connections == before
            assert "replica" in str(store.refusals.current)
            client.execute_command("REPLICAOF", "NO", "ONE")
            await eventually(lambda: store.up)
            assert await store.once("SET", "a", "1") == b"OK"
            assert store.refusals.current is None


@pytest.mark.slow
async def test_a_forbidden_channel_is_one_line_and_backs_off(opened: Opened, short_folder: Path) -> None:
    with valkey(short_folder / "channels") as server, server.client as client, capture_logs() as lines:
        client.execute_command("ACL", "SETUSER", "default", "resetchannels")
        async with opened(server.url) as store, tracked(store) as tracking:

            async def listen() -> None:
                async with aclosing(tracking.subscribe("news")) as messages:
                    await anext(messages)

            listening = asyncio.create_task(listen())
            await asyncio.sleep(4)
            assert 1 <= client.info("commandstats")["cmdstat_subscribe"]["rejected_calls"] < 4
            assert "the channel news" in str(store.refusals.current)
            client.execute_command("ACL", "SETUSER", "default", "allchannels")
            async with asyncio.timeout(PATIENCE):
                await listening
            assert store.refusals.current is None
    assert [line["event"] for line in lines] == ["Redis refuses", "Redis accepts"]


@pytest.mark.parametrize("rule", ["resetchannels", "-client|tracking", "-evalsha"])
async def test_ready_reports_refusals(make_settings: Callable[..., Settings], short_folder: Path, rule: str) -> None:
    with valkey(short_folder / f"rule{rule}") as server, server.client as client:
        client.execute_command("ACL", "SETUSER", "default", rule)
        async with running(make_settings(redis_url=server.url)) as service, asyncio.timeout(PATIENCE):
            while "store" not in (answer := (await service.client.get("/ready")).json()):
                await service.client.get("/")
                await asyncio.sleep(0.05)
    assert answer["store"] == "refused"
    assert "ACL SETUSER" in str(answer)
