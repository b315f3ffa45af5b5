"""Streams of raised events, and who consumes them."""

import asyncio
from collections.abc import Callable
from unittest.mock import AsyncMock

import orjson
import pytest
from structlog.testing import capture_logs

from app.events.event import Record
from app.events.stream import MAX_RAISED, RAISE
from app.hooks import store as hooks_store
from app.settings import Settings
from app.store import keys
from app.store.scripts import Script
from tests.helpers.service import running
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import eventually
from tests.hooks.conftest import Desk


async def test_consumers_of_workers_that_ended_are_forgotten(
    desk: Desk, server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks_store, "FORGET_AFTER", 0)
    monkeypatch.setattr(hooks_store, "RECLAIM_AFTER", 0)
    part, store = "elsewhere", desk.service.state["hooks_store"]
    stream = keys.raised(part)
    assert await store.raised(part, "me") == ([], 0)  # makes the group
    with server.client as client:
        client.xadd(stream, {"event": "x"})
        ((_, ((entry, _),)),) = client.xreadgroup("hooks", "gone", {stream: ">"})
        client.xdel(stream, entry)
        await asyncio.sleep(0.01)
        assert await store.abandoned(part, "me") == []
        assert await store.raised(part, "me") == ([], 1)
        names = [each["name"] for each in client.xinfo_consumers(stream, "hooks")]
    assert b"gone" not in names


async def test_events_that_are_trimmed_before_they_are_taken_are_counted(
    make_settings: Callable[..., Settings],
) -> None:
    raise_many = Script(RAISE.replace(str(MAX_RAISED), "100") + "for i = 1, 350 do raise_event(KEYS[1], '{}') end")
    async with running(make_settings(metrics_token="t")) as service:
        with capture_logs() as lines:
            for _ in range(2):
                await raise_many.run_once(service.state["store"], [keys.raised("wechat")])

            def told() -> bool:
                """Each event was either taken, and cannot be read, or lost."""
                taken = sum(line["event"] == "an event cannot be read" for line in lines)
                return bool(taken + sum(line.get("count", 0) for line in lines) == 700)

            await eventually(told)
        lost = sum(line["count"] for line in lines if line["event"].startswith("events are lost"))
        assert lost >= 300
        found = await service.client.get("/metrics", headers={"Authorization": "Bearer t"})
        assert f"tallygate_events_lost_total {lost}.0" in found.text


async def test_events_are_for_webhooks_that_the_worker_has_not_loaded_yet(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has just started, or another worker has just created them."""
    delivery = desk.service.state["hooks_delivery"]
    with monkeypatch.context() as patched:
        patched.setattr(delivery, "reload", AsyncMock())
        webhook = (await desk.webhook())["id"]
        await desk.change()
        await eventually(lambda: desk.deliveries(webhook))
    await delivery.reload()
    delivery.wake()
    await desk.settled(webhook, "delivered")


async def test_webhook_that_is_removed_while_an_event_is_taken_keeps_no_event(desk: Desk, server: Valkey) -> None:
    store = desk.service.state["hooks_store"]
    webhook = (await desk.webhook())["id"]
    assert (await desk.alice.delete(f"/api/webhooks/{webhook}")).status_code == 204
    assert await store.take(Record("evt_1", "config.changed", desk.clock(), {}), [webhook], desk.clock())
    await store.trim(desk.clock())
    with server.client as client:
        assert (client.zcard(keys.HOOKS_PENDING), client.exists(keys.hooks_due(webhook))) == (0, 0)


async def test_webhook_that_is_removed_during_a_change_stays_removed(desk: Desk) -> None:
    store, webhook = desk.service.state["hooks_store"], (await desk.webhook())["id"]
    assert (await desk.alice.delete(f"/api/webhooks/{webhook}")).status_code == 204
    assert await store.update(webhook, lambda now: now) is None
    assert await store.webhooks() == {}


async def test_webhook_of_a_newer_version_is_read(desk: Desk, server: Valkey) -> None:
    webhook, store = (await desk.webhook())["id"], desk.service.state["hooks_store"]
    with server.client as client:
        stored = orjson.loads(client.hget(keys.HOOKS_WEBHOOKS, webhook))
        client.hset(keys.HOOKS_WEBHOOKS, webhook, orjson.dumps(stored | {"colour": "red"}))
    assert list(await store.webhooks()) == [webhook]
