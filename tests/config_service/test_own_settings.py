"""Tallygate's own settings in the namespace `tallygate`: changed while it runs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from app.settings import Settings
from app.settings.live import RUNTIME
from app.store import keys
from tests.config_service.conftest import PATCH, Office
from tests.helpers.api import problem
from tests.helpers.cast import make_cast, signed_in
from tests.helpers.service import Running, running
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey

OWN = "/api/config/tallygate"
GITHUB = {"type": "github", "client_id": "id", "client_secret": "a-provider-s3cret"}
CLIENT = {"redirect_uris": ["https://app.example/callback"], "secret": "a-client-s3cret-0123"}


@pytest.fixture
async def other_worker(make_settings: Callable[..., Settings], office: Office) -> AsyncIterator[Running]:
    async with running(make_settings()) as service:
        yield service


async def followed(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.005)


async def test_own_namespace_exists_at_start_for_administrators_only(office: Office) -> None:
    told = await office.alice.get(OWN)
    assert (told.status_code, told.json(), told.headers["etag"]) == (200, {}, '"1"')
    schema = (await office.alice.get(f"{OWN}/schema")).json()
    assert schema["properties"]["registration"]["enum"] == ["closed", "invitation", "open"]
    assert "secret_key" not in schema["properties"]
    problem(await office.bob.get(OWN), 404)
    problem(await office.bob.patch(OWN, json={"registration": "open"}, headers=PATCH), 404)
    assert "/config/tallygate" in (await office.alice.get("/config")).text
    assert (await office.bob.get("/api/config")).json() == {"namespaces": []}
    assert "/config/tallygate" not in (await office.bob.get("/config")).text
    for path, body in (("schema", {}), ("access", {"users": {"bob": "read"}})):
        problem(await office.alice.put(f"{OWN}/{path}", json=body), 409)
    problem(await office.alice.post("/api/config", json={"name": "tallygate"}), 409)


async def test_registration_changes_in_every_worker_and_can_be_taken_back(
    office: Office, other_worker: Running
) -> None:
    assert (await other_worker.client.get("/sign-up")).status_code == 403
    assert (await office.patch(OWN, {"registration": "open"})).json() == {"version": 2, "changed": ["registration"]}
    assert (await office.service.client.get("/sign-up")).status_code == 200
    await followed(lambda: other_worker.state["live_settings"].current.registration == "open")
    assert (await other_worker.client.get("/sign-up")).status_code == 200
    assert (await office.alice.post(f"{OWN}/rollback", json={"version": 1})).status_code == 200
    assert (await office.service.client.get("/sign-up")).status_code == 403


async def test_every_setting_reaches_the_other_worker(office: Office, other_worker: Running) -> None:
    simple = {
        "registration": "open", "second_factor": "optional", "announcement": "Hello.", "max_body_bytes": 2048,
        "max_streams": 7, "max_import_bytes": 5000,
    }  # fmt: skip
    tables = {
        "rate_limits": {"sign-in-account": {"times": 1, "seconds": 3600}},
        "rules": [{"hosts": ["app.example"], "allow": "everybody"}],
        "oauth": {"github": GITHUB},
        "clients": {"shop": CLIENT},
    }
    assert {*simple, *tables} == {*RUNTIME}
    assert (await office.patch(OWN, simple | tables)).status_code == 200
    live = other_worker.state["live_settings"]
    await followed(lambda: live.current.announcement == "Hello.")
    assert {name: getattr(live.current, name) for name in simple} == simple
    client = other_worker.client
    assert "Hello." in (await client.get("/sign-up")).text
    assert [each["name"] for each in (await client.get("/api/oauth")).json()] == ["github"]
    wrong = {"username": "charlie", "password": "wrong"}
    assert [(await client.post("/api/session", json=wrong)).status_code for _ in range(2)] == [401, 429]
    assert (await client.post("/api/session", content=b"a" * 3000)).status_code == 413
    assert [rule["hosts"] for rule in live.current.rules] == [["app.example"]]
    assert [*live.current.clients] == ["shop"]
    assert (await office.alice.post(f"{OWN}/rollback", json={"version": 1})).status_code == 200
    await followed(lambda: not live.current.announcement)
    assert (await client.get("/api/oauth")).json() == []
    assert (await client.get("/sign-up")).status_code == 403


async def test_announcement_stands_above_all_pages(office: Office) -> None:
    sentence = "Down at 22:00 <soon>, 987654321"
    pages = ("/", "/nowhere", "/account", "/config")
    for page in pages:
        assert "<aside" not in (await office.bob.get(page, headers={"Accept": "text/html"})).text
    await office.alice.put(f"{OWN}/values/announcement", json=sentence)
    for page in pages:
        text = (await office.bob.get(page, headers={"Accept": "text/html"})).text
        assert "Down at 22:00 &lt;soon&gt;, 987654321" in text, page
    assert (await office.alice.delete(f"{OWN}/values/announcement")).status_code == 204
    assert "Down at" not in (await office.bob.get("/", headers={"Accept": "text/html"})).text


async def test_changed_limits_apply(office: Office) -> None:
    client, large = office.service.client, {"username": "bob", "password": "a" * 2000}
    assert (await client.post("/api/session", json=large)).status_code == 401
    limits = {"sign-in-account": {"times": 1, "seconds": 3600}}
    assert (await office.patch(OWN, {"max_body_bytes": 1024, "rate_limits": limits})).status_code == 200
    assert (await client.post("/api/session", json=large)).status_code == 413
    wrong = {"username": "charlie", "password": "wrong"}
    answers = [(await client.post("/api/session", json=wrong)).status_code for _ in range(2)]
    assert answers == [401, 429]


async def test_providers_and_clients_come_and_go(office: Office, server: Valkey) -> None:
    client = office.service.client
    patch = {
        "oauth": {"github": GITHUB},
        "clients": {"shop": CLIENT},
    }
    assert (await office.patch(OWN, patch)).status_code == 200
    assert [each["name"] for each in (await client.get("/api/oauth")).json()] == ["github"]
    assert (await client.get("/oauth/github/start")).status_code == 303
    listed = (await office.alice.get("/api/clients")).json()
    assert [each["id"] for each in listed["clients"]] == ["shop"]
    with server.client as valkey:
        stored = valkey.hgetall(keys.config_namespace("tallygate")), valkey.xrange(keys.config_history("tallygate"))
        assert "s3cret" not in repr(stored)
    assert (await office.patch(OWN, {"oauth": None, "clients": {"shop": None}})).status_code == 200
    assert (await client.get("/api/oauth")).json() == []
    assert (await client.get("/oauth/github/start")).status_code == 404
    assert (await office.alice.get("/api/clients")).json()["clients"] == []


async def test_rules_of_the_gateway_change(make_settings: Callable[..., Settings]) -> None:
    async with running(make_settings(trusted_proxies=["192.0.2.1"])) as service:
        await make_cast(service)
        alice = await signed_in(service, "alice")
        asked = {"X-Original-URL": "https://app.example/", "X-Original-Method": "GET"}
        assert (await service.client.get("/verify/auth-request", headers=asked)).status_code == 403
        rules = [{"hosts": ["app.example"], "allow": "everybody"}]
        assert (await alice.put(f"{OWN}/values/rules", json=rules)).status_code == 200
        assert (await service.client.get("/verify/auth-request", headers=asked)).status_code == 200
        assert (await alice.delete(f"{OWN}/values/rules")).status_code == 204
        assert (await service.client.get("/verify/auth-request", headers=asked)).status_code == 403


@pytest.mark.parametrize(
    ("patch", "key"),
    [
        ({"registration": "perhaps"}, "registration"), ({"registration": None, "announcement": 5}, "announcement"),
        ({"announcement": "a" * 501}, "announcement"), ({"max_body_bytes": 3}, "max_body_bytes"),
        ({"max_streams": "many"}, "max_streams"), ({"port": 9000}, "port"), ({"secret_key": "x" * 40}, "secret_key"),
        ({"rate_limits": {"no-such": {"times": 1, "seconds": 1}}}, "rate_limits"),
        ({"rate_limits": {"sign-up": {"times": 0, "seconds": 1}}}, "rate_limits"),
        ({"rules": [{"hosts": []}]}, "rules"), ({"rules": [{"hosts": ["a.example"], "allow": "some"}]}, "rules"),
        ({"oauth": {"Bad Name": GITHUB}}, "oauth"), ({"oauth": {"corp": {"type": "nonsense"}}}, "oauth"),
        ({"oauth": {"github": {"type": "github"}}}, "oauth"), ({"clients": {"shop": {"secret": "short"}}}, "clients"),
        ({"clients": {"shop": 5}}, "clients"),
    ],
)  # fmt: skip
async def test_values_against_the_schema_are_refused(office: Office, patch: dict[str, Any], key: str) -> None:
    before = office.service.state["live_settings"].current
    refused = problem(await office.patch(OWN, patch | {"max_import_bytes": 5000}), 422)
    assert refused["key"] == key
    assert refused["rule"]
    assert "s3cret" not in repr(refused)
    assert office.service.state["live_settings"].current is before
    assert (await office.alice.get(OWN)).json() == {}


async def test_settings_of_file_and_environment_are_locked(
    make_settings: Callable[..., Settings], server: Valkey
) -> None:
    async with running(make_settings()) as service:
        await make_cast(service)
        alice = await signed_in(service, "alice")
        values = {"registration": "open", "oauth": {"hub": GITHUB}, "announcement": "Hello."}
        assert (await alice.patch(OWN, json=values, headers=PATCH)).status_code == 200
    own = {"registration": "closed", "oauth": {"hub": GITHUB | {"label": "Own"}}}
    async with running(make_settings(**own)) as service:
        alice = await signed_in(service, "alice")
        assert service.state["live_settings"].current.announcement == "Hello."
        assert (await service.client.get("/sign-up")).status_code == 403
        assert [each["label"] for each in (await service.client.get("/api/oauth")).json()] == ["Own"]
        for locked in ({"registration": "invitation"}, {"oauth": {"hub": {"label": "B"}}}):
            refused = problem(await alice.patch(OWN, json=locked, headers=PATCH), 422)
            assert ([refused["key"]], refused["rule"]) == ([*locked], "locked")
        # What was there before hinders nothing.
        assert (await alice.patch(OWN, json={"announcement": "Bye."}, headers=PATCH)).status_code == 200
        assert service.state["live_settings"].current.announcement == "Bye."
        without = {"registration": None, "oauth": {"hub": None}}
        assert (await alice.patch(OWN, json=without, headers=PATCH)).status_code == 200
        assert (await alice.patch(OWN, json={"oauth": {"other": GITHUB}}, headers=PATCH)).status_code == 200
        assert [each["name"] for each in (await service.client.get("/api/oauth")).json()] == ["other", "hub"]


async def test_request_under_way_finishes_under_the_old_values(office: Office) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"username": "bob", "password": "'
        assert (await office.patch(OWN, {"max_body_bytes": 1024})).status_code == 200
        yield b"a" * 2000
        yield b'"}'

    client, headers = office.service.client, {"Content-Type": "application/json"}
    assert (await client.post("/api/session", content=body(), headers=headers)).status_code == 401
    assert (await client.post("/api/session", content=b"a" * 2000, headers=headers)).status_code == 413
