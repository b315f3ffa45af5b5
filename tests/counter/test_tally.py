"""The exact counter on the real Valkey: every visit once, to every visitor a number of its own."""

import asyncio
import itertools
import signal
import time
from collections import Counter

import pytest

from app.counter import exactly_once as module
from app.counter import tally as tally_module
from app.counter.batch_store import SequenceGap
from app.counter.store import CounterStore
from app.counter.tally import Tally
from app.store.keys import HITS_TOTALS
from tests.counter.conftest import counting
from tests.counter.redis_side import roll_back, totals
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import eventually


async def test_concurrent_hits_get_distinct_consecutive_numbers(server: Valkey) -> None:
    names = ["home", "about", "猫/ \r\n"]
    async with counting(server.url) as one, counting(server.url) as other:
        hits = []
        for worker, name in itertools.islice(itertools.cycle(itertools.product((one, other), names)), 6000):
            hits.append((name, worker.hit(name)))
            if len(hits) % 70 == 0:
                await asyncio.sleep(0)
        numbers = {name: sorted([await hit for of, hit in hits if of == name]) for name in names}  # type: ignore[type-var]
    assert numbers == {name: list(range(1, 2001)) for name in names}
    assert totals(server) == dict.fromkeys(names, 2000)


async def test_the_hits_of_a_tick_travel_as_one_batch(tally: Tally) -> None:
    assert await asyncio.gather(*(tally.hit("home") for _ in range(100))) == list(range(1, 101))
    assert (tally.batches, tally.counted, tally.waiting) == (1, 100, 0)


async def test_a_tick_with_many_counters_is_cut_into_batches(server: Valkey, tally: Tally) -> None:
    names = [f"page {n}" for n in range(2 * tally_module.BATCH + 1)]
    numbers = await asyncio.gather(*(tally.hit(name) for name in names * 2))
    assert Counter(numbers) == {1: len(names), 2: len(names)}
    assert tally.batches == 3
    assert totals(server) == dict.fromkeys(names, 2)


async def test_repeated_batch_returns_the_same_numbers(server: Valkey, counter: CounterStore) -> None:
    assert await counter.apply("w", 1, ["home", 3, "about", 1]) == [3, 1]
    await counter.apply("other", 1, ["home", 5])
    assert await counter.apply("w", 1, ["home", 3, "about", 1]) == [3, 1]
    assert await counter.apply("w", 2, ["home", 1]) == [9]
    assert totals(server) == {"home": 9, "about": 1}


@pytest.mark.parametrize("sequence", [1, 4, 9])
async def test_a_batch_out_of_turn_is_refused(server: Valkey, counter: CounterStore, sequence: int) -> None:
    await counter.apply("w", 1, ["home", 1])
    await counter.apply("w", 2, ["home", 1])
    with pytest.raises(SequenceGap) as gap:
        await counter.apply("w", sequence, ["home", 1])
    assert gap.value.last == 2
    assert totals(server) == {"home": 2}


async def test_totals_beyond_lua_precision_are_exact(server: Valkey, tally: Tally) -> None:
    with server.client as client:
        client.hset(HITS_TOTALS, "home", 123_456_789_012_345)
    assert await tally.hit("home") == 123_456_789_012_346


async def test_worker_record_expires(server: Valkey, tally: Tally) -> None:
    await tally.hit("home")
    with server.client as client:
        (record,) = client.keys("{hits}:worker:*")
        assert 86_000 < client.ttl(record) <= 86_400


async def test_visit_during_an_outage_is_counted_later(
    server: Valkey, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await tally.hit("home") == 1
    server.send(signal.SIGSTOP)
    try:
        monkeypatch.setattr(module, "REPLY_TIMEOUT", 0.1)
        first = tally.hit("home")
        await asyncio.sleep(0)
        early = [tally.hit("home") for _ in range(3)]
        assert await asyncio.gather(first, *early) == [None] * 4
        assert tally.hit("home").result() is None, "who comes later is told at once"
        assert tally.waiting == 5
    finally:
        server.send(signal.SIGCONT)
    monkeypatch.setattr(module, "REPLY_TIMEOUT", PATIENCE)
    await eventually(lambda: tally.waiting == 0, what="the visits to be counted")
    assert await tally.hit("home") == 7
    assert totals(server) == {"home": 7}


async def test_visits_past_the_bound_are_dropped_and_said_to_be(own_server: Valkey) -> None:
    async with counting(own_server.url, max_queued=5) as tally:
        assert await tally.hit("home") == 1
        own_server.kill()
        hits = [tally.hit("home") for _ in range(8)]
        assert [hit.result() for hit in hits[5:]] == [None] * 3
        assert (tally.waiting, tally.dropped) == (5, 3)
        own_server.start()
        await eventually(lambda: tally.waiting == 0, what="the visits to be counted")
        assert await asyncio.gather(*hits[:5])
    assert totals(own_server) == {"home": 6}


async def test_disconnected_visitor_is_counted(server: Valkey, tally: Tally) -> None:
    leaving, staying = tally.hit("home"), tally.hit("home")
    leaving.cancel()
    assert await staying == 2
    assert totals(server) == {"home": 2}


async def test_flush_waits_until_all_is_counted(server: Valkey, tally: Tally) -> None:
    for _ in range(10):
        tally.hit("home")
    await tally.flush(10)
    assert totals(server) == {"home": 10}


async def test_flush_has_a_deadline_and_logs_losses(own_server: Valkey, capsys: pytest.CaptureFixture[str]) -> None:
    async with counting(own_server.url) as tally:
        own_server.kill()
        tally.hit("home")
        await tally.flush(0.05)
        assert "visits were lost" in "".join(capsys.readouterr())


async def test_ended_tally_fails_waiting_visitors(own_server: Valkey) -> None:
    async with counting(own_server.url) as tally:
        assert await tally.hit("home") == 1
        own_server.send(signal.SIGSTOP)
        hit = tally.hit("home")
    assert await hit is None
    assert tally.hit("home").result() is None


async def test_numbers_are_withheld_after_a_redis_restart(
    own_server: Valkey,
) -> None:
    async with counting(own_server.url) as tally:
        assert await tally.hit("home") == 1
        own_server.kill()
        own_server.start()
        assert await tally.hit("home") is None
        number = await eventually(lambda: tally.hit("home"), what="a number")
    assert totals(own_server) == {"home": number}


async def test_numbers_return_after_the_recovery_period(own_server: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECOVERY_PERIOD", 0.1)
    async with counting(own_server.url) as tally:
        assert await tally.hit("home") == 1
        own_server.kill()
        own_server.start()
        await eventually(lambda: 0 < tally._recovering_until < time.monotonic(), what="the end of the silence")
        assert await tally.hit("home") == 2


async def test_a_lost_connection_alone_keeps_no_number_back(server: Valkey, tally: Tally) -> None:
    for visits in range(1, 6):
        assert await tally.hit("home") == visits
        with server.client as client:
            client.client_kill_filter(_type="normal", skipme=True)


async def test_lost_batches_are_replayed_before_the_next(server: Valkey, tally: Tally) -> None:
    for _ in range(5):
        await tally.hit("home")
    roll_back(server, batches=3)
    assert await tally.hit("home") == 6


async def test_lost_batches_are_replayed_without_a_new_visit(server: Valkey, tally: Tally) -> None:
    for _ in range(5):
        await tally.hit("home")
    roll_back(server, batches=3)
    await eventually(lambda: totals(server) == {"home": 5}, what="the lost visits")
    assert await tally.hit("home") == 6
