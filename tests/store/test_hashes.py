"""Records in hashes: written whole, and changed only where no other request was first."""

from app.store import hashes
from app.store.client import Store

KEY = "record"


async def test_record_is_written_together_with_its_expiry(store: Store) -> None:
    await hashes.create(store, KEY, 60, "a", "1", "b", "2")
    assert await store.idempotent("HGETALL", KEY) == {b"a": b"1", b"b": b"2"}
    assert 0 < await store.idempotent("TTL", KEY) <= 60


async def test_field_is_replaced_only_if_it_is_as_it_was_read(store: Store) -> None:
    await hashes.create(store, KEY, 60, "a", "1")
    assert await hashes.compare_and_set(store, KEY, "a", "1", "2")
    assert await hashes.compare_and_set(store, KEY, "a", "1", "2")  # as after a lost reply
    assert not await hashes.compare_and_set(store, KEY, "a", "1", "3")
    assert not await hashes.compare_and_set(store, "none", "a", "1", "2")
    assert await store.idempotent("HGET", KEY, "a") == b"2"


async def test_late_write_brings_back_no_removed_record(store: Store) -> None:
    assert not await hashes.set_if_exists(store, KEY, "a", "1")
    assert not await store.idempotent("EXISTS", KEY)
    await hashes.create(store, KEY, 60, "a", "1")
    assert await hashes.set_if_exists(store, KEY, "a", "2", "b", "3")
    assert await store.idempotent("HGETALL", KEY) == {b"a": b"2", b"b": b"3"}
