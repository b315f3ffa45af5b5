"""Pages of webhooks."""

from tests.hooks.conftest import Desk

PAGE = {"Accept": "text/html"}


async def test_administrator_adds_tests_and_removes_a_webhook(desk: Desk) -> None:
    form = {"url": desk.receiver.url, "events": "config.changed user.created"}
    made = await desk.alice.post("/admin/webhooks", data=form, headers=PAGE)
    assert "whsec_" in (await desk.alice.get(made.headers["location"], headers=PAGE)).text
    assert "whsec_" not in (await desk.alice.get(made.headers["location"], headers=PAGE)).text
    listed = await desk.alice.get("/admin/webhooks", headers=PAGE)
    assert desk.receiver.url in listed.text
    assert "whsec_" not in listed.text
    (webhook,) = (await desk.alice.get("/api/webhooks")).json()["webhooks"]
    path = f"/admin/webhooks/{webhook['id']}"
    assert (await desk.alice.post(path, data={"action": "test"}, headers=PAGE)).status_code == 303
    await desk.settled(webhook["id"], "delivered")
    shown = (await desk.alice.get(f"/admin/webhooks/{webhook['id']}", headers=PAGE)).text
    assert "webhook.test" in shown
    assert "content-length: 2" in shown
    again = {"action": "send", "delivery": "1"}
    assert (await desk.alice.post(path, data=again, headers=PAGE)).status_code == 303
    assert (await desk.alice.post(path, data={"action": "x"}, headers=PAGE)).status_code == 400
    await desk.alice.post(path, data={"action": "disable"}, headers=PAGE)
    assert not (await desk.alice.get("/api/webhooks")).json()["webhooks"][0]["enabled"]
    await desk.alice.post(path, data={"action": "remove"}, headers=PAGE)
    assert (await desk.alice.get("/api/webhooks")).json() == {"webhooks": []}
    wrong = await desk.alice.post("/admin/webhooks", data={"url": "x", "events": "x"}, headers=PAGE)
    assert wrong.status_code == 400
    assert (await desk.bob.get("/admin/webhooks", headers=PAGE)).status_code == 403


async def test_webhook_is_changed_and_gets_a_new_secret(desk: Desk) -> None:
    webhook = await desk.webhook("config.changed")
    path = f"/admin/webhooks/{webhook['id']}"
    form = {"action": "save", "url": f"{desk.receiver.url}/new", "events": "wechat.message *", "wechat": "a b"}
    form["reply"] = "1"
    assert (await desk.alice.post(path, data=form, headers=PAGE)).status_code == 303
    (saved,) = (await desk.alice.get("/api/webhooks")).json()["webhooks"]
    assert (saved["url"], saved["events"]) == (form["url"], ["wechat.message", "*"])
    assert (saved["wechat"], saved["reply"]) == (["a", "b"], True)
    wrong = await desk.alice.post(path, data=form | {"events": "no.such"}, headers=PAGE)
    assert (wrong.status_code, "no.such" in wrong.text) == (400, True)
    new = await desk.alice.post(path, data={"action": "secret"}, headers=PAGE)
    assert "whsec_" in (await desk.alice.get(new.headers["location"], headers=PAGE)).text
    assert "whsec_" not in (await desk.alice.get(path, headers=PAGE)).text
    for status in (303, 404):
        removed = await desk.alice.post(path, data={"action": "remove-old-secret"}, headers=PAGE)
        assert removed.status_code == status
    assert not (await desk.alice.get("/api/webhooks")).json()["webhooks"][0]["old_secret"]
