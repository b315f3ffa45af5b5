"""What Redis may do to the counter short of dying: forget, refuse, go back; no visit is lost and none is doubled."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.counter import exactly_once as module
from app.counter.store import CounterStore
from app.counter.tally import Tally
from app.store.client import StoreUnavailable
from app.store.keys import HITS_TOTALS
from tests.counter.conftest import counting
from tests.counter.redis_side import records, roll_back, totals
from tests.helpers.valkey import Valkey, valkey
from tests.helpers.waiting import eventually


async def count(tally: Tally, visits: int) -> None:
    """So many visits, each a batch of its own."""
    for _ in range(visits):
        await tally.hit("home")


async def test_expired_worker_record_doubles_nothing(server: Valkey, tally: Tally) -> None:
    await count(tally, 5)
    with server.client as client:
        client.delete(*records(server))
    assert await tally.hit("home") == 6
    await eventually(lambda: tally.batches == 6 and len(records(server)) == 1, what="a new record")
    assert totals(server) == {"home": 6}


async def test_expired_record_of_an_idle_worker_doubles_nothing(server: Valkey, tally: Tally) -> None:
    await count(tally, 5)
    with server.client as client:
        client.delete(*records(server))
    await eventually(lambda: len(tally.journal) == 0, what="the new name")
    assert totals(server) == {"home": 5}
    assert await tally.hit("home") == 6


async def test_totals_that_were_emptied_on_purpose_stay_empty(server: Valkey, tally: Tally) -> None:
    await count(tally, 5)
    with server.client as client:
        client.flushall()
    assert await tally.hit("home") == 1
    assert totals(server) == {"home": 1}


async def test_emptied_server_gets_the_journal(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECOVERY_PERIOD", 0.0)
    with valkey(short_folder / "forgetful", "--appendonly", "no") as server:
        async with counting(server.url) as tally:
            await count(tally, 5)
            server.kill()
            server.start()
            assert await tally.hit("home") == 6
        assert totals(server) == {"home": 6}


async def test_loss_beyond_the_journal_is_logged(server: Valkey, tally: Tally) -> None:
    await count(tally, 8)
    tally.journal.forget(last=4, now=math.inf)
    roll_back(server, batches=6)
    assert await tally.hit("home") == 2 + 4 + 1
    assert await tally.hit("home") == 2 + 4 + 2


class Interrupted(CounterStore):
    """Something happens after so many batches, counted from when it is armed."""

    after = 0
    happens: Callable[[], None] = staticmethod(lambda: None)

    async def apply(self, worker: str, sequence: int, arguments: Any) -> list[int]:
        totals = await super().apply(worker, sequence, arguments)
        self.after -= 1
        if self.after == 0:
            self.happens()
        return totals


def break_off() -> None:
    raise StoreUnavailable("the connection was lost", sent=True)


@pytest.mark.parametrize("sent_again", [1, 2])
@pytest.mark.parametrize(("settled", "left"), [(0, 1), (4, 2)], ids=["under its name", "under a new name"])
async def test_a_restoration_that_breaks_off_is_taken_up_again(
    server: Valkey, settled: int, left: int, sent_again: int
) -> None:
    async with counting(server.url, kind=Interrupted) as tally:
        await count(tally, 8)
        tally.journal.forget(last=settled, now=math.inf)
        roll_back(server, batches=8 - left)
        store = tally._store
        assert isinstance(store, Interrupted)
        store.after, store.happens = sent_again, break_off
        right = left + (8 - max(settled, left))
        assert await tally.hit("home") == right + 1
        assert store.after < 0
        assert await tally.hit("home") == right + 2
    assert totals(server) == {"home": right + 2}


async def test_restoration_restarts_after_another_loss(server: Valkey) -> None:
    async with counting(server.url, kind=Interrupted) as tally:
        await count(tally, 8)
        roll_back(server, batches=4)
        store = tally._store
        assert isinstance(store, Interrupted)
        store.after, store.happens = 2, lambda: roll_back(server, batches=3)
        assert await tally.hit("home") == 9
        assert store.after < 0
    assert totals(server) == {"home": 9}


async def test_old_primary_is_not_restored(server: Valkey, own_server: Valkey) -> None:
    """The barrier is at the new one already, where everything seems lost; the counter still talks to the old one."""
    async with counting(server.url, barrier_url=own_server.url) as tally:
        await count(tally, 3)
        with own_server.client as client:
            asked = "cmdstat_hget"
            await eventually(lambda: asked in client.info("commandstats"), what="a look at the other server")
        await count(tally, 3)
    assert totals(server) == {"home": 6}
    assert len(records(server)) == 1, "it went on under its name"


async def test_flushed_scripts_are_loaded_again(server: Valkey, tally: Tally) -> None:
    await count(tally, 2)
    with server.client as client:
        client.script_flush()
    assert await tally.hit("home") == 3


def no_memory(client: Any) -> Callable[[], object]:
    client.config_set("maxmemory", 1)
    return lambda: client.config_set("maxmemory", 0)


def no_scripts(client: Any) -> Callable[[], object]:
    client.execute_command("ACL", "SETUSER", "default", "-eval", "-evalsha")
    return lambda: client.execute_command("ACL", "SETUSER", "default", "+@all")


def wrong_type(client: Any) -> Callable[[], object]:
    client.rename(HITS_TOTALS, "kept")
    client.set(HITS_TOTALS, "no hash")
    return lambda: client.rename("kept", HITS_TOTALS)


def wrong_record(client: Any) -> Callable[[], object]:
    (record,) = client.keys("{hits}:worker:*")
    client.rename(record, "kept")
    client.set(record, "no hash")
    return lambda: client.rename("kept", record)


def read_only(client: Any) -> Callable[[], object]:
    client.replicaof("127.0.0.1", "1")
    return lambda: client.replicaof("NO", "ONE")


@pytest.fixture
def mended_later(own_server: Valkey) -> Iterator[Any]:
    with own_server.client as client:
        yield client


@pytest.mark.parametrize("breaks", [no_memory, no_scripts, wrong_type, wrong_record, read_only])
async def test_a_server_that_refuses_is_asked_until_it_is_mended(
    own_server: Valkey, mended_later: Any, breaks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RECOVERY_PERIOD", 0.0)
    async with counting(own_server.url) as tally:
        await count(tally, 3)
        mend = breaks(mended_later)
        with monkeypatch.context() as patch:
            patch.setattr(module, "REPLY_TIMEOUT", 0.3)
            hits = [tally.hit("home") for _ in range(4)]
            assert [await hit for hit in hits] == [None] * 4
        mend()
        await eventually(lambda: tally.waiting == 0, what="the visits to be counted")
        assert await tally.hit("home") == 8
    assert totals(own_server) == {"home": 8}


async def test_a_counter_that_cannot_be_added_to_keeps_the_others_of_its_batch_right(
    server: Valkey, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPLY_TIMEOUT", 0.5)
    monkeypatch.setattr(module, "RETRY_INTERVAL", 0.01)
    with server.client as client:
        client.hset(HITS_TOTALS, "broken", "many")
        hits = [tally.hit(name) for name in ("home", "broken", "about")]
        assert [await hit for hit in hits] == [None] * 3
        assert client.hget(HITS_TOTALS, "home") in {None, b"0"}
        client.hset(HITS_TOTALS, "broken", 41)
    await eventually(lambda: tally.waiting == 0, what="the visits to be counted")
    assert totals(server) == {"home": 1, "broken": 42, "about": 1}


async def test_a_refusal_is_logged_once(
    server: Valkey, tally: Tally, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "RETRY_INTERVAL", 0.001)
    monkeypatch.setattr(module, "REPLY_TIMEOUT", 0.2)
    with server.client as client:
        client.set(HITS_TOTALS, "no hash")
        assert await tally.hit("home") is None
        client.delete(HITS_TOTALS)
    await eventually(lambda: tally.waiting == 0, what="the visit to be counted")
    assert "".join(capsys.readouterr()).count("Redis refuses to count") == 1
