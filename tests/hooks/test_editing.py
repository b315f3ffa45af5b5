"""Webhooks that several administrators, or a worker, change at once."""

import asyncio
import time

from app.store.encryption import Encryption
from tests.hooks.conftest import Desk, verified


async def test_changes_at_once_lose_none_and_bring_no_removed_one_back(desk: Desk) -> None:
    webhook = await desk.webhook()
    path = f"/api/webhooks/{webhook['id']}"
    made, *_ = await asyncio.gather(
        desk.alice.post(f"{path}/secret"),
        desk.alice.patch(path, json={"wechat": ["official"]}),
        desk.alice.patch(path, json={"events": ["config.changed", "user.created"]}),
    )
    (told,) = (await desk.alice.get("/api/webhooks")).json()["webhooks"]
    assert (told["wechat"], len(told["events"]), told["old_secret"]) == (["official"], 2, True)
    desk.clock.now = time.time()
    await desk.change()
    await desk.settled(webhook["id"], "delivered")
    verified(made.json()["secret"], desk.receiver.received[0])
    answers = await asyncio.gather(desk.alice.delete(path), desk.alice.patch(path, json={"reply": True}))
    assert answers[0].status_code == 204
    assert (await desk.alice.get("/api/webhooks")).json() == {"webhooks": []}


async def test_nothing_is_sent_unsigned(desk: Desk) -> None:
    webhook = await desk.webhook()
    desk.service.state["hooks_delivery"]._encryption = Encryption(["another key"], "webhooks")
    await desk.change()
    delivery = await desk.attempted(webhook["id"], 1)
    assert (delivery["state"], delivery["attempts"][0]["status"]) == ("pending", None)
    assert "old_secret_keys" in delivery["attempts"][0]["body"]
    assert not desk.receiver.received
