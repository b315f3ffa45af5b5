"""Namespaces, values, versions, preconditions, roles, secrets."""

import asyncio
from typing import Any

import httpx
import pytest

from app.store import keys
from tests.config_service.conftest import PATCH, Office
from tests.helpers.api import problem, program, token_for
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import eventually


async def test_versions_record_author_time_and_reason(office: Office) -> None:
    path = await office.namespace()
    answer = await office.alice.patch(f"{path}?why=Black%20Friday", json={"price": 5, "a": {"b": 1}}, headers=PATCH)
    assert answer.json() == {"version": 2, "changed": ["a", "price"]}
    assert answer.headers["etag"] == '"2"'
    await office.patch(path, {"a": {"b": None, "c": 2}})
    got = await office.alice.get(path)
    assert got.json() == {"price": 5, "a": {"c": 2}}
    assert got.headers["etag"] == '"3"'
    versions = (await office.alice.get("/api/config/shop/history")).json()["versions"]
    assert [each["version"] for each in versions] == [3, 2, 1]
    assert versions[0]["changes"] == [{"key": "a", "before": {"b": 1}, "after": {"c": 2}}]
    assert (versions[1]["by"], versions[1]["why"], versions[1]["at"]) == ("alice", "Black Friday", office.clock.now)
    assert (await office.alice.get(f"{path}?version=2")).json() == {"price": 5, "a": {"b": 1}}
    older = (await office.alice.get("/api/config/shop/history?limit=1&before=3")).json()["versions"]
    assert [each["version"] for each in older] == [2]


async def test_patch_without_a_change_makes_no_version(office: Office) -> None:
    path = await office.namespace()
    await office.patch(path, {"a": 1})
    assert (await office.patch(path, {"a": 1, "b": None})).json() == {"version": 2, "changed": []}


async def test_version_is_brought_back_as_a_new_one(office: Office) -> None:
    path = await office.namespace()
    await office.patch(path, {"a": 1, "b": 1})
    await office.patch(path, {"a": 2, "b": None, "c": 3})
    answer = await office.alice.post("/api/config/shop/rollback", json={"version": 2, "why": "too expensive"})
    assert answer.json() == {"version": 4, "changed": ["a", "b", "c"]}
    assert (await office.alice.get(path)).json() == {"a": 1, "b": 1}
    problem(await office.alice.post("/api/config/shop/rollback", json={"version": 9}), 404)
    assert (
        problem(await office.alice.post("/api/config/shop/rollback", json={"version": "1"}), 400)["field"] == "version"
    )


async def test_namespace_exists_once(office: Office) -> None:
    await office.namespace()
    problem(await office.alice.post("/api/config", json={"name": "shop"}), 409)
    listed = (await office.alice.get("/api/config")).json()["namespaces"]
    assert [(each["name"], each["version"]) for each in listed] == [("shop", 1), ("tallygate", 1)]
    problem(await office.bob.post("/api/config", json={"name": "other"}), 403)
    problem(await office.service.another_client().get("/api/config/shop"), 401)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "name"), ({"name": 1}, "name"), ({"name": "Shop"}, "name"), ({"name": "a/b"}, "name"),
        ({"name": "a", "schema": {"type": "x"}}, "schema"), ({"name": "a", "require_if_match": 1}, "require_if_match"),
        ({"name": "a", "schema": {"$ref": "http://127.0.0.1/"}}, "schema"), ({"name": "a", "colour": 1}, "colour"),
    ],
)  # fmt: skip
async def test_wrong_field_of_a_new_namespace_is_named(office: Office, fields: dict[str, Any], field: str) -> None:
    assert problem(await office.alice.post("/api/config", json=fields), 400)["field"] == field
    listed = (await office.alice.get("/api/config")).json()["namespaces"]
    assert [each["name"] for each in listed] == ["tallygate"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"a":1,"a":2}', "body"), (b'{"a":NaN}', "body"), (b"[1]", "body"), (b"{", "body"), (b'{"a b":1}', "key"),
        (b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", "body"), (b'{"a":"' + b"x" * (256 * 1024) + b'"}', "a"),
        ('{"价":1}'.encode(), "key"), (b'{"":1}', "key"),
    ],
)  # fmt: skip
async def test_bad_patches_change_nothing(office: Office, body: bytes, field: str) -> None:
    path = await office.namespace()
    assert problem(await office.alice.patch(path, content=body, headers=PATCH), 400)["field"] == field
    assert (await office.alice.get(path)).headers["etag"] == '"1"'


async def test_namespace_has_a_largest_size(office: Office) -> None:
    path = await office.namespace()
    values = {f"k{number}": "x" * 200_000 for number in range(19)}
    assert (await office.patch(path, values)).status_code == 200
    problem(await office.patch(path, {f"m{number}": "x" * 200_000 for number in range(3)}), 422)
    problem(await office.patch(path, {"x": "x" * 5_000_000}), 413)
    problem(await office.alice.patch(path, json={"a": 1}), 415)


async def test_change_has_to_fit_the_schema_as_a_whole(office: Office) -> None:
    path = await office.namespace(schema={"properties": {"price": {"type": "integer", "minimum": 0}}})
    refused = problem(await office.patch(path, {"name": "x", "price": -1}), 422)
    assert (refused["key"], refused["rule"]) == ("price", "minimum")
    assert (await office.alice.get(path)).json() == {}
    await office.patch(path, {"price": 5})
    refused = problem(
        await office.alice.put("/api/config/shop/schema", json={"properties": {"price": {"maximum": 4}}}), 422
    )
    assert refused["key"] == "price"
    assert problem(await office.alice.put("/api/config/shop/schema", json={"type": "x"}), 400)["field"] == "schema"
    await office.patch(path, {"price": 3})
    assert (
        await office.alice.put("/api/config/shop/schema", json={"properties": {"price": {"maximum": 4}}})
    ).status_code == 204
    refused = problem(await office.alice.post("/api/config/shop/rollback", json={"version": 2}), 422)
    assert (refused["key"], refused["rule"]) == ("price", "maximum")
    assert (await office.alice.get("/api/config/shop/schema")).json() == {"properties": {"price": {"maximum": 4}}}


async def test_concurrent_patches_lose_nothing(office: Office) -> None:
    path = await office.namespace()
    answers = await asyncio.gather(*(office.patch(path, {f"k{number}": number}) for number in range(10)))
    assert sorted(answer.json()["version"] for answer in answers) == list(range(2, 12))
    assert len((await office.alice.get(path)).json()) == 10


async def test_single_values_are_read_set_and_removed(office: Office) -> None:
    await office.namespace()
    assert (await office.alice.put("/api/config/shop/values/a?why=x", json=[1])).json() == {
        "version": 2,
        "changed": ["a"],
    }
    got = await office.alice.get("/api/config/shop/values/a")
    assert (got.json(), got.headers["etag"]) == ([1], '"2"')
    assert (await office.alice.get("/api/config/shop/values/a", headers={"If-None-Match": '"2"'})).status_code == 304
    assert (await office.alice.delete("/api/config/shop/values/a")).status_code == 204
    problem(await office.alice.delete("/api/config/shop/values/a"), 404)
    problem(await office.alice.get("/api/config/shop/values/a"), 404)
    assert problem(await office.alice.put("/api/config/shop/values/a%20b", json=1), 400)["field"] == "key"
    assert problem(await office.alice.put(f"/api/config/shop/values/a?why={'x' * 501}", json=1), 400)["field"] == "why"
    assert problem(await office.alice.put("/api/config/shop/values/a?secret=perhaps", json=1), 400)["field"] == "secret"


async def test_roles_limit_a_users_actions(office: Office) -> None:
    path = await office.namespace()
    problem(await office.bob.get(path), 404)
    await office.grant(path, "read")
    assert (await office.bob.get(path)).json() == {}
    problem(await office.bob.patch(path, json={"a": 1}, headers=PATCH), 403)
    await office.grant(path, "write")
    assert (await office.bob.patch(path, json={"a": 1}, headers=PATCH)).status_code == 200
    problem(await office.bob.put("/api/config/shop/access", json={"users": {}}), 403)
    await office.grant(path, "manage")
    assert "bob" in (await office.bob.get("/api/config/shop/access")).json()["users"]
    wrong: list[tuple[Any, str]] = [
        ({"bob": "own"}, "users.bob.role"), ({"nobody": "read"}, "users"), ([], "users"), ({"bob": None}, "users.bob"),
        ({"bob": {"role": "read", "secrets": 1}}, "users.bob.secrets"), ({"bob": {"role": ["read"]}}, "users.bob.role"),
    ]  # fmt: skip
    for users, field in wrong:
        refused = await office.alice.put("/api/config/shop/access", json={"users": users})
        assert problem(refused, 400)["field"] == field


async def test_secrets_are_encrypted_and_left_out(office: Office, server: Valkey) -> None:
    path = await office.namespace()
    await office.alice.put("/api/config/shop/values/key?secret=true", json="s3cret-value")
    await office.alice.put("/api/config/shop/values/key", json="another-s3cret")
    await office.patch(path, {"open": 1})
    await office.grant(path, "write")
    seen = await office.bob.get(path)
    assert (seen.json(), seen.headers["x-config-hidden"]) == ({"open": 1}, "key")
    problem(await office.bob.get("/api/config/shop/values/key"), 404)
    told = await office.bob.get("/api/config/shop/history")
    assert "s3cret" not in told.text
    assert {"key": "key", "secret": True} in told.json()["versions"][1]["changes"]
    assert "s3cret" not in (await office.bob.get(f"{path}?version=2")).text
    assert "x-config-hidden" not in (await office.alice.get(path)).headers
    assert (await office.alice.get(path)).json() == {"open": 1, "key": "another-s3cret"}
    with server.client as client:
        stored = client.hgetall(keys.config_namespace("shop")), client.xrange(keys.config_history("shop"))
        assert "s3cret" not in repr(stored)
    await office.grant(path, {"role": "read", "secrets": True})
    assert (await office.bob.get(path)).json()["key"] == "another-s3cret"


async def test_key_that_was_secret_once_stays_secret(office: Office, server: Valkey) -> None:
    path = await office.namespace()
    await office.grant(path, "write")
    key = f"{path}/values/key"
    await office.alice.put(key, json="plain-at-first")
    await office.alice.put(f"{key}?secret=true", json="s3cret")
    assert (await office.bob.delete(key)).status_code == 204
    await office.bob.put(key, json="a new s3cret")
    await office.patch(path, {"key": None})
    await office.patch(path, {"key": "the third s3cret"})
    assert (await office.alice.post(f"{path}/rollback", json={"version": 2})).status_code == 200
    assert (await office.alice.get(path)).json() == {"key": "plain-at-first"}
    with server.client as client:
        assert "s3cret" not in repr(client.xrange(keys.config_history("shop")))
        assert "plain-at-first" not in repr(client.hgetall(keys.config_namespace("shop")))
    for question in (path, f"{path}?version=2", f"{path}?version=5"):
        seen = await office.bob.get(question)
        assert (seen.json(), seen.headers["x-config-hidden"]) == ({}, "key")
    told = await office.bob.get(f"{path}/history")
    assert "plain-at-first" not in told.text
    assert "s3cret" not in told.text


async def test_api_token_reads_and_a_matching_tag_costs_no_command(office: Office) -> None:
    path = await office.namespace()
    reader = program(office.service, await token_for(office.alice))
    tag = {"If-None-Match": (await reader.get(path)).headers["etag"]}
    assert (await reader.get(path, headers=tag)).status_code == 304

    async def costs_nothing() -> bool:
        before = office.service.state["store"].commands
        for client in (reader, office.alice):
            again = await client.get(path, headers=tag)
            assert (again.status_code, again.content) == (304, b"")
        return bool(office.service.state["store"].commands == before)

    await eventually(costs_nothing)  # the note of the first use may have invalidated what was read meanwhile
    tokens = (await office.alice.get("/api/account/tokens")).json()
    assert tokens[0]["used"] > 0
    await office.alice.delete(f"/api/account/tokens/{tokens[0]['id']}")
    await asyncio.sleep(0.05)
    problem(await reader.get(path, headers=tag), 401)


@pytest.mark.parametrize("wait", ["-1", "61", "x", "1.5", "", "9" * 5000, "１"])
async def test_wait_of_nonsense_is_refused(office: Office, wait: str) -> None:
    path = await office.namespace()
    answer = await office.alice.get(path, params={"wait": wait}, headers={"If-None-Match": '"1"'})
    assert problem(answer, 400)["field"] == "wait"


async def test_waiting_client_gets_the_change(office: Office) -> None:
    path = await office.namespace()

    async def wait() -> httpx.Response:
        return await office.alice.get(f"{path}?wait=30", headers={"If-None-Match": '"1"'})

    waiting = asyncio.gather(*(wait() for _ in range(5)))
    while office.service.state["config_namespaces"].waiting < 5:
        await asyncio.sleep(0.01)
    await office.patch(path, {"a": 1})
    for answer in await waiting:
        assert (answer.status_code, answer.json(), answer.headers["etag"]) == (200, {"a": 1}, '"2"')
    over = await office.alice.get(f"{path}?wait=1", headers={"If-None-Match": '"2"'})
    assert over.status_code == 304
    assert (await office.alice.get(f"{path}?wait=30")).status_code == 200
    assert office.service.state["config_namespaces"].waiting == 0


async def test_service_reads_its_granted_namespaces(office: Office) -> None:
    path = await office.namespace()
    await office.namespace("other")
    await office.alice.put("/api/config/shop/values/key?secret=true", json="s3cret")
    grants = {"config": {"shop": "write", "other": {"role": "read", "secrets": True}}}
    made = await office.alice.post("/api/services", json={"name": "billing", **grants})
    assert made.status_code == 201, made.text
    token = (
        await office.alice.post(f"/api/services/{made.json()['id']}/tokens", json={"name": "x", "days": 1})
    ).json()["token"]
    service = program(office.service, token)
    seen = await service.get(path)
    assert (seen.json(), seen.headers["x-config-hidden"]) == ({}, "key")
    assert (await service.patch(path, json={"a": 1}, headers=PATCH)).json()["changed"] == ["a"]
    problem(await service.patch("/api/config/other", json={"a": 1}, headers=PATCH), 403)
    problem(await service.put("/api/config/shop/schema", json={}), 403)
    listed = (await service.get("/api/config")).json()["namespaces"]
    assert [(each["name"], each["role"]) for each in listed] == [("other", "read"), ("shop", "write")]
    versions = (await office.alice.get("/api/config/shop/history")).json()["versions"]
    assert versions[0]["by"] == "billing"
    before = office.service.state["store"].commands
    assert (await service.get(path, headers={"If-None-Match": '"3"'})).status_code == 304
    assert office.service.state["store"].commands == before
