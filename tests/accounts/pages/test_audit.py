"""The audit log: what it shows an administrator, and that no secret is in it, nor in the service's own log."""

import csv
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from app.accounts.invitations.setup_link import setup_token
from app.audit.log import Event
from tests.accounts.conftest import Start
from tests.accounts.pages.reading import next_page, rows, shown_secret
from tests.helpers.cast import PASSWORD, Cast, signed_in
from tests.helpers.service import Running
from tests.helpers.valkey import Valkey

NEW = "a lamp beside the harbour"


async def token_of(service: Running) -> str:
    return await setup_token(service.state["accounts"], service.state["settings"])


async def events(alice: httpx.AsyncClient) -> list[str]:
    page = await alice.get("/admin/audit")
    assert page.status_code == 200
    return [row.rpartition(" 192.0.2.1 ")[0] for row in rows(page)]


async def test_audit_page_lists_entries_newest_first(alice: httpx.AsyncClient, service: Running, cast: Cast) -> None:
    bob = await signed_in(service, "bob")
    await service.client.post("/sign-in", data={"username": "bob", "password": "not that"})
    await service.client.post("/sign-in", data={"username": "nobody", "password": "not that"})
    await bob.post("/account/password", data={"current": "not that", "new": NEW})
    await bob.post("/account/password", data={"current": PASSWORD, "new": NEW, "end_others": "on"})
    await bob.post("/account/devices/end-others")
    await bob.post("/account/tokens", data={"name": "backup", "days": "30"}, follow_redirects=True)
    (token,) = (await bob.get("/api/account/tokens")).json()
    await bob.post("/account/tokens/revoke", data={"id": token["id"]})
    await bob.post("/sign-out")
    for action in ("make-admin", "remove-admin", "end-sessions", "disable", "enable"):
        await alice.post(f"/admin/users/{cast.bob.id}", data={"action": action})
    await alice.post("/admin/invitations", data={"days": "7"}, follow_redirects=True)
    assert await events(alice) == [
        "Invited by alice",
        "Enabled bob by alice",
        "Disabled bob by alice",
        "Session ended 0 bob by alice",
        "Role changed no longer administrator bob by alice",
        "Role changed made administrator bob by alice",
        "Signed out bob",
        "Token revoked bob",
        "Token created backup bob",
        "Session ended 0 others bob",
        "Password changed bob",
        "Sign-in failed on changing the password bob",
        "Sign-in failed",
        "Sign-in failed bob",
        "Signed in with the password bob",
        "Signed in with the password alice",
    ]


async def test_audit_log_has_the_source_of_new_accounts(start: Start) -> None:
    async with start(registration="open") as service:
        alice, dora = service.another_client(), service.another_client()
        form = {"token": await token_of(service), "username": "alice", "password": PASSWORD}
        assert (await alice.post("/setup", data=form)).status_code == 303
        assert (await dora.post("/sign-up", data={"username": "dora", "password": NEW})).status_code == 303
        assert await events(alice) == [
            "Signed in at sign-up dora",
            "Account created at sign-up dora",
            "Signed in with the setup link alice",
            "Account created with the setup link alice",
        ]


async def test_ended_session_is_audited(alice: httpx.AsyncClient, service: Running) -> None:
    phone = await signed_in(service, "alice")
    (key,) = [each["id"] for each in (await alice.get("/api/account/sessions")).json() if not each["current"]]
    await alice.delete(f"/api/account/sessions/{key}")
    assert (await events(alice))[0] == "Session ended alice"
    await phone.aclose()


async def test_older_events_come_by_the_page(alice: httpx.AsyncClient, service: Running) -> None:
    for number in range(120):
        await service.state["audit"].record(Event.SIGN_OUT, user=f"user{number}")
    seen: list[str] = []
    path: str | None = "/admin/audit"
    while path is not None:
        page = await alice.get(path)
        seen += rows(page)
        path = next_page(page)
    assert [row.split()[2] for row in seen[:120]] == [f"user{number}" for number in reversed(range(120))]
    assert len(seen) == 121


@pytest.mark.parametrize("before", ["", "0", "x", "-", "%00", "99999999999999999999-0"])
async def test_malformed_audit_cursor_shows_nothing(alice: httpx.AsyncClient, before: str) -> None:
    page = await alice.get(f"/admin/audit?before={before}")
    assert page.status_code == 200
    assert not rows(page)


async def test_audit_page_is_in_the_readers_language(alice: httpx.AsyncClient) -> None:
    page = await alice.get("/admin/audit", headers={"Accept-Language": "zh"})
    assert "审计日志" in page.text
    assert rows(page)[0].startswith("登录 使用密码 alice")


async def everything_secret(service: Running) -> set[str]:
    """Uses each secret that there is, rightly and wrongly, by page and by API; the secrets."""
    used = {PASSWORD, NEW, "typed into the wrong field", "x" * 43, "tgt_" + "y" * 43, await token_of(service)}
    alice = service.another_client()
    setup = {"token": await token_of(service), "username": "alice", "password": PASSWORD}
    await alice.get("/setup", params={"token": setup["token"]})
    assert (await alice.post("/setup", data=setup)).status_code == 303
    link = shown_secret(await alice.post("/admin/invitations", data={"days": "7"}, follow_redirects=True))
    page = await alice.post("/account/tokens", data={"name": "backup", "days": "30"}, follow_redirects=True)
    cookie = alice.cookies["tallygate"]
    used |= {link.partition("invitation=")[2], shown_secret(page), cookie, cookie.partition(".")[0]}
    dora = service.another_client()
    await dora.get(link)
    form: dict[str, Any] = {"username": "dora", "password": NEW, "invitation": link.partition("invitation=")[2]}
    assert (await dora.post("/sign-up", data=form)).status_code == 303
    used.add(dora.cookies["tallygate"])
    for password in ("typed into the wrong field", NEW):
        credentials = {"username": "typed into the wrong field", "password": password}
        await service.client.post("/sign-in", data=credentials)
        await service.client.post("/api/session", json=credentials)
    await dora.post("/account/password", data={"current": "typed into the wrong field", "new": PASSWORD})
    await dora.post("/account/password", data={"current": NEW, "new": PASSWORD, "end_others": "on"})
    for secret in used:
        await service.client.get("/api/account", headers={"Authorization": f"Bearer {secret}"})
        await service.client.get("/", params={"token": secret}, headers={"Cookie": f"tallygate={secret}"})
        await service.client.get("/sign-up", params={"invitation": secret})
    return used


def stored_in(server: Valkey) -> dict[str, str]:
    """Everything that Redis holds, as text."""
    with server.client as client:
        read: dict[bytes, Callable[[str], Any]] = {
            b"string": client.get,
            b"hash": client.hgetall,
            b"set": client.smembers,
            b"zset": lambda name: client.zrange(name, 0, -1),
            b"stream": client.xrange,
        }
        return {name.decode(): repr(read[client.type(name)](name)) for name in client.scan_iter("*")}


@pytest.mark.parametrize("level", ["info", "debug"])
async def test_no_secret_is_in_the_log_nor_in_redis(
    start: Start, server: Valkey, tmp_path: Path, capfd: pytest.CaptureFixture[str], level: str
) -> None:
    log = tmp_path / "log"
    async with start(registration="invitation", log_file=log, log_level=level) as service:
        used = await everything_secret(service)
    written = log.read_text()
    assert '"path":"/api/account"' in written
    stored = stored_in(server)
    shown = "\n".join(line for line in capfd.readouterr().err.splitlines() if "/setup?token=" not in line)
    assert "sign_in_failed" in stored["{accounts}:audit"]
    assert any("$argon2id$" in value for value in stored.values())
    for secret in used:
        assert secret not in written
        assert secret not in shown
        assert not [name for name, value in stored.items() if secret in name + value]


async def test_the_readers_of_the_log_are_no_way_to_guess(alice: httpx.AsyncClient) -> None:
    """What was typed as a name may have been a password: it is not told."""
    typed = secrets.token_hex()
    await alice.post("/sign-in", data={"username": typed, "password": "not that"})
    assert typed not in (await alice.get("/admin/audit")).text


async def test_audit_page_filters_and_links(alice: httpx.AsyncClient, service: Running, cast: Cast) -> None:
    await signed_in(service, "bob")
    await alice.post(f"/admin/users/{cast.bob.id}", data={"action": "make-admin"})
    by_bob = await alice.get("/admin/audit", params={"user": "BOB"})
    assert [row.split()[0] for row in rows(by_bob)] == ["Role", "Signed"]
    assert f'<a href="/admin/users/{cast.bob.id}">bob</a>' in by_bob.text
    assert [row.split()[:2] for row in rows(await alice.get("/admin/audit?user=bob&event=role_changed"))] == [
        ["Role", "changed"]
    ]
    assert len(rows(await alice.get("/admin/audit?since=2020-01-01"))) == 3
    for nothing in ("until=2020-01-01", "since=2999-01-01T00:00:00Z", "user=nobody"):
        assert not rows(await alice.get(f"/admin/audit?{nothing}"))


async def test_audit_log_is_exported_and_in_the_api(alice: httpx.AsyncClient, service: Running, cast: Cast) -> None:
    for number in range(120):
        await service.state["audit"].record(Event.RENAMED, user=cast.bob.id, detail=f"=cmd{number}")
    first = (await alice.get("/api/audit", params={"event": "renamed"})).json()
    rest = (await alice.get("/api/audit", params={"event": "renamed", "before": first["before"]})).json()
    assert [each["detail"] for each in first["entries"] + rest["entries"]] == [
        f"=cmd{number}" for number in reversed(range(120))
    ]
    assert (first["entries"][0]["user_name"], rest["before"]) == ("bob", None)
    lines = (await alice.get("/api/audit?format=jsonl&event=renamed")).text.splitlines()
    assert [orjson.loads(line) for line in lines] == first["entries"] + rest["entries"]
    answer = await alice.get("/api/audit?format=csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.csv"'
    table = list(csv.DictReader(answer.text.splitlines()))
    assert len(table) == 121
    assert table[0]["detail"] == "'=cmd119"


@pytest.mark.parametrize(("name", "value"), [("since", "soon"), ("until", "-1"), ("format", "xml")])
async def test_a_bad_filter_is_named(alice: httpx.AsyncClient, name: str, value: str) -> None:
    answer = await alice.get("/api/audit", params={name: value})
    assert (answer.status_code, answer.json()["field"]) == (400, name)


async def test_only_administrators_ask_the_api_for_it(bob: httpx.AsyncClient) -> None:
    assert (await bob.get("/api/audit")).status_code == 403
    assert (await bob.get("/api/invitations")).status_code == 403


async def test_every_event_has_words(alice: httpx.AsyncClient) -> None:
    page = (await alice.get("/admin/audit", headers={"Accept-Language": "zh"})).text
    options = re.findall(r'<option value="(\w+)"[^>]*>([^<]+)</option>', page)
    assert {value for value, _ in options} == {event.value for event in Event}
    assert [value for value, words in options if value == words] == []
