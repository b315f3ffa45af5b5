"""The queue of jobs with a due time: bounded, leased, and safe to repeat."""

from app.store.client import Store
from app.store.delayed_queue import DelayedQueue

KEYS = ("{queue}:due", "{queue}:jobs")


async def test_full_queue_takes_no_job_but_the_repeat_of_one_that_it_has(store: Store) -> None:
    queue = DelayedQueue(store, KEYS, limit=1)
    assert [await queue.enqueue(name, "job", 0.0) for name in ("a", "b", "a")] == [True, False, True]
    assert await queue.claim(1.0, lease=10.0, count=5) == [("a", b"job")]


async def test_claimed_job_is_due_again_after_its_lease_unless_it_is_settled(store: Store) -> None:
    queue = DelayedQueue(store, KEYS, limit=10)
    for name in ("a", "b"):
        await queue.enqueue(name, name, 0.0)
    assert await queue.claim(1.0, lease=10.0, count=5) == [("a", b"a"), ("b", b"b")]
    await queue.settle("a")
    assert await queue.claim(2.0, lease=10.0, count=5) == []
    assert await queue.claim(12.0, lease=10.0, count=5) == [("b", b"b")]
    await queue.retry("a", "again", 0.0)
    assert await queue.claim(13.0, lease=10.0, count=5) == []
