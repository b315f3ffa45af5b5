"""Webhooks: signed deliveries, retries, secrets, what is switched off, what is sent again."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from app.events.catalogue import EVENTS
from app.settings import Settings
from app.store import keys
from tests.fakes.smtp import smtp_fake
from tests.helpers.api import problem
from tests.helpers.cast import make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.receiver import Receiver
from tests.helpers.service import running
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import eventually
from tests.hooks.conftest import OK, Desk, verified


async def test_catalogue_lists_all_events(desk: Desk) -> None:
    told = (await desk.bob.get("/api/events")).json()["events"]
    assert [each["name"] for each in told] == list(EVENTS)
    assert told[0]["example"]["user"]


async def test_event_is_delivered_once_signed_and_shown(desk: Desk, server: Valkey) -> None:
    webhook = await desk.webhook("config.changed")
    desk.clock.now = time.time()  # the verifier has a clock of its own
    await desk.change("price")
    (delivery,) = await desk.settled(webhook["id"], "delivered")
    (received,) = desk.receiver.received
    told = verified(webhook["secret"], received)
    assert (told["type"], told["sequence"]) == ("config.changed", 1)
    assert told["data"]["keys"] == ["price"]
    assert received[0]["webhook-id"] == delivery["id"]
    (attempt,) = delivery["attempts"]
    assert (attempt["status"], attempt["body"], attempt["headers"]["content-length"]) == (200, "ok", "2")
    assert webhook["secret"] not in (await desk.alice.get("/api/webhooks")).text
    with server.client as client:
        assert webhook["secret"] not in repr(client.hgetall("{hooks}:webhooks"))
        assert [client.xlen(f"{{{part}}}:raised") for part in ("accounts", "config", "events")] == [0, 0, 0]


async def test_failed_delivery_is_repeated_with_the_same_id_until_it_works(desk: Desk) -> None:
    webhook = await desk.webhook()
    desk.receiver.answer = b"HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\nboom"
    await desk.change()
    first = await desk.attempted(webhook["id"], 1)
    assert (first["state"], first["attempts"][0]["status"], first["attempts"][0]["body"]) == ("pending", 500, "boom")
    assert 5 <= first["next_at"] - desk.clock.now <= 5.6
    desk.receiver.answer = OK
    desk.clock.move(6)
    second = await desk.attempted(webhook["id"], 2)
    assert (second["state"], second["attempts"][1]["status"]) == ("delivered", 200)
    assert len({headers["webhook-id"] for headers, _ in desk.receiver.received}) == 1


async def test_after_the_last_retry_a_delivery_is_set_aside(desk: Desk) -> None:
    webhook = await desk.webhook(url="http://127.0.0.1:1/")
    await desk.change()
    for tries in range(1, 10):
        delivery = await desk.attempted(webhook["id"], tries)
        desk.clock.now = delivery["next_at"] or desk.clock.now
    assert delivery["state"] == "failed"
    assert [each["status"] for each in delivery["attempts"]] == [None] * 9
    assert (await desk.alice.post(f"/api/webhooks/{webhook['id']}/deliveries/{delivery['id']}/send")).status_code == 202


async def test_hanging_receiver_delays_no_other(desk: Desk) -> None:
    hanging = await desk.webhook()
    desk.receiver.answer = None
    other = type(desk.receiver)()
    server = await asyncio.start_server(other.serve, "127.0.0.1", 0)
    good = await desk.webhook(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    for number in range(20):
        await desk.change(f"k{number}")
    await desk.settled(good["id"], *["delivered"] * 20)
    first = (await desk.deliveries(hanging["id"]))[-1]
    assert first["state"] == "pending"
    server.close()


async def test_410_switches_off_and_events_meanwhile_can_be_sent(desk: Desk) -> None:
    webhook = await desk.webhook()
    path = f"/api/webhooks/{webhook['id']}"
    desk.receiver.answer = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"
    await desk.change()
    await desk.settled(webhook["id"], "failed")
    (told,) = (await desk.alice.get("/api/webhooks")).json()["webhooks"]
    assert (told["enabled"], told["off_why"]) == (False, "410")
    since, desk.receiver.answer = time.time(), OK
    await desk.change("meanwhile")
    await asyncio.sleep(0.1)
    assert len(await desk.deliveries(webhook["id"])) == 1
    assert (await desk.alice.patch(path, json={"enabled": True})).json()["off_why"] == ""
    assert (await desk.alice.post(f"/api/webhooks/{webhook['id']}/send-since", json={"since": since})).json() == {
        "deliveries": 1
    }
    await desk.settled(webhook["id"], "delivered", "failed")
    assert (
        problem(await desk.alice.post(f"/api/webhooks/{webhook['id']}/send-since", json={"since": "x"}), 400)["field"]
        == "since"
    )


async def test_every_worker_and_the_owner_learn_that_a_webhook_is_switched_off(
    make_settings: Callable[..., Settings], clock: Clock, receiver: Receiver
) -> None:
    async with smtp_fake() as mails:
        sender = {"smtp_url": mails.url, "mail_from": "ops@example.com", "public_url": "http://tallygate.test"}
        settings = make_settings(webhook_timeout=PATIENCE, **sender)
        async with running(settings, clock) as one, running(settings, clock) as other:
            cast = await make_cast(one)
            await one.state["users"].set_email(cast.alice.id, "alice@example.com", verified=True)
            desk = Desk(one, await signed_in(one, "alice"), await signed_in(one, "bob"), clock, receiver)
            webhook = await desk.webhook()
            receiver.answer = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"
            await desk.change()

            async def known() -> bool:
                found = [worker.state["hooks_delivery"].webhooks.get(webhook["id"]) for worker in (one, other)]
                return all(each is not None and not each.enabled for each in found)

            await eventually(known)

            async def mailed() -> bool:
                return bool(mails.mails)

            await eventually(mailed)
            (mail,) = mails.mails
            assert mail["To"] == "alice@example.com"
            assert f"/admin/webhooks/{webhook['id']}" in mail.get_content()
            assert "answered 410" in mail.get_content()


async def test_disabled_webhook_gets_nothing_and_blocks_no_event(desk: Desk, server: Valkey) -> None:
    webhook = await desk.webhook(url="http://127.0.0.1:1/")
    path = f"/api/webhooks/{webhook['id']}"
    await desk.change()
    await desk.attempted(webhook["id"], 1)
    with server.client as client:
        assert client.zcard(keys.HOOKS_PENDING) == 1
        assert (await desk.alice.patch(path, json={"enabled": False})).status_code == 200
        await desk.service.state["hooks_store"].trim(desk.clock())
        assert client.zcard(keys.HOOKS_PENDING) == 0
    for action, body in (("test", None), ("deliveries/1/send", None), ("send-since", {"since": 0})):
        problem(await desk.alice.post(f"{path}/{action}", json=body), 409)


async def test_webhook_keeps_its_newest_deliveries(
    make_settings: Callable[..., Settings], clock: Clock, receiver: Receiver
) -> None:
    async with running(make_settings(webhook_max_deliveries=10), clock) as service:
        await make_cast(service)
        desk = Desk(service, await signed_in(service, "alice"), await signed_in(service, "bob"), clock, receiver)
        webhook = await desk.webhook()
        for number in range(12):
            await desk.change(f"k{number}")
            await eventually(partial(_has_come, desk, webhook["id"], number + 1))
        assert [each["sequence"] for each in await desk.deliveries(webhook["id"])] == [*range(12, 2, -1)]


async def _has_come(desk: Desk, webhook: str, number: int) -> bool:
    found = await desk.deliveries(webhook)
    return bool(found) and (found[0]["sequence"], found[0]["state"]) == (number, "delivered")


async def test_five_days_of_failing_switch_off(desk: Desk) -> None:
    webhook = await desk.webhook(url="http://127.0.0.1:1/")
    await desk.change("a")
    await desk.attempted(webhook["id"], 1)
    desk.clock.move(5 * 86_400 + 1)
    await desk.change("b")
    await desk.attempted(webhook["id"], 1)
    told: dict[str, Any] = {}
    while told.get("off_why") != "failing":
        await asyncio.sleep(0.02)
        (told,) = (await desk.alice.get("/api/webhooks")).json()["webhooks"]


async def test_both_secrets_sign_until_the_old_one_is_removed(desk: Desk) -> None:
    webhook = await desk.webhook()
    new = (await desk.alice.post(f"/api/webhooks/{webhook['id']}/secret")).json()["secret"]
    desk.clock.now = time.time()
    await desk.change("a")
    await desk.settled(webhook["id"], "delivered")
    for secret in (webhook["secret"], new):
        verified(secret, desk.receiver.received[0])
    assert (await desk.alice.delete(f"/api/webhooks/{webhook['id']}/secret/old")).status_code == 204
    await desk.change("b")
    await desk.settled(webhook["id"], "delivered", "delivered")
    with pytest.raises(Exception, match="signature"):
        verified(webhook["secret"], desk.receiver.received[1])
    problem(await desk.alice.delete(f"/api/webhooks/{webhook['id']}/secret/old"), 404)


async def test_test_goes_to_one_webhook_and_a_removed_one_is_gone(desk: Desk) -> None:
    webhook, other = await desk.webhook(), await desk.webhook("*")
    told = await desk.alice.post(f"/api/webhooks/{webhook['id']}/test")
    (delivery,) = await desk.settled(webhook["id"], "delivered")
    assert delivery["id"] == told.json()["id"]
    assert [each["event"] for each in await desk.deliveries(other["id"])].count("webhook.test") == 0
    assert (await desk.alice.delete(f"/api/webhooks/{webhook['id']}")).status_code == 204
    problem(await desk.alice.get(f"/api/webhooks/{webhook['id']}/deliveries"), 404)
    problem(await desk.alice.patch(f"/api/webhooks/{webhook['id']}", json={"enabled": False}), 404)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"events": ["user.created"]}, "url"), ({"url": "https://a.example"}, "events"),
        ({"url": "ftp://a.example", "events": ["user.created"]}, "url"),
        ({"url": 1, "events": ["user.created"]}, "url"),
        ({"url": "https://u:p@a.example", "events": ["user.created"]}, "url"),
        ({"url": "https://a.example/#x", "events": ["user.created"]}, "url"),
        ({"url": "https://a..b/", "events": ["user.created"]}, "url"),
        ({"url": "https://exa%6dple.com/", "events": ["user.created"]}, "url"),
        ({"url": "https://a.example:0/", "events": ["user.created"]}, "url"),
        ({"url": "https://a.example:99999", "events": ["user.created"]}, "url"),
        ({"url": "https://a.example/\r\nX: y", "events": ["user.created"]}, "url"),
        ({"url": "https://a.example", "events": []}, "events"),
        ({"url": "https://a.example", "events": ["user.borne"]}, "events"),
        ({"url": "https://a.example", "events": "user.created"}, "events"),
        ({"url": "https://a.example", "events": [1]}, "events.0"),
        ({"url": "https://a.example", "events": ["user.created"], "enabled": "yes"}, "enabled"),
        ({"url": "https://a.example", "events": ["user.created"], "secret": "whsec_x"}, "secret"),
    ],
)  # fmt: skip
async def test_wrong_field_is_named(desk: Desk, fields: dict[str, Any], field: str) -> None:
    assert problem(await desk.alice.post("/api/webhooks", json=fields), 400)["field"] == field
    assert (await desk.alice.get("/api/webhooks")).json() == {"webhooks": []}
    problem(await desk.bob.post("/api/webhooks", json=fields), 403)


@pytest.mark.parametrize(
    "url",
    ["http://example.com/", "https://127.0.0.1/", "https://[::1]/", "https://224.0.0.1/", "https://[64:ff9b::7f00:1]/",
     "https://[2002:7f00:1::]/", "https://[fec0::1]/", "https://localhost/", "https://a.localhost/", "https://127.1/",
     "https://10.0.0.1/", "https://127.0.0.0x1/", "https://0177.0.0.1/", "https://192.0.0.192/", "https://localhost./",
     "https://2130706433/", "https://db.internal/"],
)  # fmt: skip
async def test_production_takes_public_https_addresses_only(make_settings: Callable[..., Settings], url: str) -> None:
    async with running(make_settings(environment="production", secret_key="k" * 40)) as service:
        await make_cast(service)
        alice = await signed_in(service, "alice", base_url="https://tallygate.test")
        good = {"url": "https://hooks.example.com/x", "events": ["user.created"]}
        assert problem(await alice.post("/api/webhooks", json=good | {"url": url}), 400)["field"] == "url"
        made = (await alice.post("/api/webhooks", json=good)).json()
        assert problem(await alice.patch(f"/api/webhooks/{made['id']}", json={"url": url}), 400)["field"] == "url"


async def test_webhook_may_be_the_one_that_replies(desk: Desk) -> None:
    fields = {"url": desk.receiver.url, "events": ["wechat.message"], "wechat": ["official"], "reply": True}
    made = (await desk.alice.post("/api/webhooks", json=fields)).json()
    assert (made["wechat"], made["reply"]) == (["official"], True)
    (listed,) = (await desk.alice.get("/api/webhooks")).json()["webhooks"]
    assert listed["reply"] is True
    changed = await desk.alice.patch(f"/api/webhooks/{made['id']}", json={"reply": False})
    assert changed.json()["reply"] is False
    wrong = await desk.alice.patch(f"/api/webhooks/{made['id']}", json={"reply": "yes"})
    assert (wrong.status_code, wrong.json()["field"]) == (400, "reply")
    assert (await desk.webhook())["reply"] is False


async def test_redirects_are_not_followed(desk: Desk) -> None:
    webhook = await desk.webhook()
    to = desk.receiver.url.encode()
    desk.receiver.answer = b"HTTP/1.1 302 Found\r\nLocation: " + to + b"\r\nContent-Length: 0\r\n\r\n"
    await desk.change()
    delivery = await desk.attempted(webhook["id"], 1)
    assert (delivery["state"], delivery["attempts"][0]["status"]) == ("pending", 302)
    assert len(desk.receiver.received) == 1


async def test_endless_answer_is_read_to_its_first_kilobyte(desk: Desk) -> None:
    webhook = await desk.webhook()
    desk.receiver.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n" + b"x" * 100_000
    await desk.change()
    (delivery,) = await desk.settled(webhook["id"], "delivered")
    assert delivery["attempts"][0]["body"] == "x" * 1024
