"""The audit log: what happened to accounts, newest first, and never for ever."""

import asyncio
import time

import pytest

from app.audit.log import Audit, AuditEntry, Event
from app.store.client import Store
from tests.helpers.valkey import Valkey


async def test_audit_entries_are_read_back_with_their_time(store: Store) -> None:
    audit = Audit(store)
    await audit.record(
        Event.ROLE_CHANGED, user="bob", actor="alice", address="192.0.2.1", request_id="r1", detail="administrator"
    )
    (entry,) = (await audit.page()).entries
    assert entry == AuditEntry(
        entry.id, entry.at, "role_changed", "bob", "alice", "192.0.2.1", "r1", "administrator"
    )  # fmt: skip
    assert abs(entry.at - time.time()) < 60


async def test_missing_audit_fields_are_empty(store: Store) -> None:
    audit = Audit(store)
    await audit.record(Event.SIGN_IN_FAILED)
    (entry,) = (await audit.page()).entries
    assert (entry.user, entry.actor, entry.address, entry.request_id, entry.detail) == ("", "", "", "", "")


async def test_every_audit_event_is_stored_by_name(store: Store) -> None:
    audit = Audit(store)
    for event in Event:
        await audit.record(event)
    assert [entry.event for entry in (await audit.page()).entries] == [event.value for event in reversed(Event)]
    assert Event.SIGN_IN_FAILED.value == "sign_in_failed"


async def test_pages_go_from_the_newest_to_the_oldest_and_stay_put_while_more_happens(store: Store) -> None:
    audit = Audit(store)
    for number in range(7):
        await audit.record(Event.SIGN_IN, detail=str(number))
    page = await audit.page(limit=3)
    seen = [entry.detail for entry in page.entries]
    while page.before is not None:
        await audit.record(Event.SIGN_OUT, detail="later")
        page = await audit.page(page.before, limit=3)
        seen += [entry.detail for entry in page.entries]
    assert seen == ["6", "5", "4", "3", "2", "1", "0"]


async def test_a_page_that_is_exactly_full_is_the_last(store: Store) -> None:
    audit = Audit(store)
    for _ in range(3):
        await audit.record(Event.SIGN_IN)
    page = await audit.page(limit=3)
    assert (len(page.entries), page.before) == (3, None)


@pytest.mark.parametrize(
    "before", ["", "x", "-", "+", "1", "1-2-3", "(1-2", "9" * 30 + "-1", "1-" + "9" * 30, "\ud800", "0-0", "00-000"]
)
async def test_malformed_cursor_gives_an_empty_page(store: Store, before: str) -> None:
    audit = Audit(store)
    await audit.record(Event.SIGN_IN)
    assert (await audit.page(before)).entries == ()


async def test_the_oldest_entries_are_dropped(store: Store, server: Valkey) -> None:
    audit = Audit(store, kept=100)
    await asyncio.gather(*(audit.record(Event.SIGN_IN, detail=str(number)) for number in range(500)))
    with server.client as client:
        assert 100 <= client.xlen("{accounts}:audit") <= 250
    assert (await audit.page(limit=1)).entries[0].detail == "499"


async def test_audit_log_keeps_ten_thousand_entries(store: Store, server: Valkey) -> None:
    audit = Audit(store)
    with server.client as client:
        pipe = client.pipeline(transaction=False)
        for _ in range(12_000):
            pipe.xadd("{accounts}:audit", {"event": "sign_in"})
        pipe.execute()
        await audit.record(Event.SIGN_OUT)
        assert 10_000 <= client.xlen("{accounts}:audit") <= 10_200


async def test_long_and_broken_audit_texts_are_cut(store: Store) -> None:
    audit = Audit(store)
    await audit.record(Event.SIGN_IN, address="\ud800", detail="x" * 1_000_000)
    (entry,) = (await audit.page()).entries
    assert (entry.address, entry.detail) == ("?", "x" * 200)
