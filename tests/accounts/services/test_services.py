"""Services, their tokens and grants."""

import asyncio
import hashlib
from typing import Any

import httpx
import pytest

from app.accounts.services.services import configured_services
from app.settings import SettingsError
from tests.accounts.conftest import Start
from tests.helpers.clock import Clock
from tests.helpers.service import Running

GRANTS = {
    "wechat": {"shop": {"paths": ["cgi-bin/user/info", "cgi-bin/tags/*"], "per_minute": 5}},
    "config": {"a": "read"},
}


async def created(alice: httpx.AsyncClient, **changes: Any) -> tuple[str, str, str]:
    """(the service's id, the token's id, the token)."""
    answer = await alice.post("/api/services", json={"name": "billing", **GRANTS} | changes)
    assert answer.status_code == 201, answer.text
    service_id = answer.json()["id"]
    token = await alice.post(f"/api/services/{service_id}/tokens", json={"name": "production", "days": 1})
    assert token.status_code == 201, token.text
    return service_id, token.json()["id"], token.json()["token"]


async def test_a_service_has_grants_and_a_token(alice: httpx.AsyncClient, elsewhere: Running) -> None:
    service_id, _, secret = await created(alice)
    assert secret.startswith("tgs_")
    service = await elsewhere.state["services"].authenticate(secret)
    assert (service.id, service.name) == (service_id, "billing")
    assert service.grants.wechat["shop"].paths == ("cgi-bin/user/info", "cgi-bin/tags/*")
    (listed,) = (await alice.get("/api/services")).json()
    assert secret not in str(listed)
    assert listed["wechat"]["shop"]["per_minute"] == 5
    assert (await alice.get(f"/api/services/{service_id}")).json() == listed


async def test_changes_of_grants_at_once_lose_none(alice: httpx.AsyncClient) -> None:
    service_id, *_ = await created(alice)
    path = f"/api/services/{service_id}"
    withdrawn: dict[str, Any] = {"wechat": {}}
    given = {"config": {"a": "write"}}
    answers = await asyncio.gather(*(alice.patch(path, json=fields) for fields in (withdrawn, given)))
    assert [answer.status_code for answer in answers] == [200, 200]
    told = (await alice.get(path)).json()
    assert (told["wechat"], told["config"]) == ({}, {"a": "write"})


async def test_a_token_of_a_service_is_no_user(alice: httpx.AsyncClient, service: Running) -> None:
    _, _, secret = await created(alice)
    program = service.another_client(headers={"Authorization": f"Bearer {secret}"})
    assert (await program.get("/api/account")).status_code == 401
    assert (await program.get("/api/services")).status_code == 401


async def test_a_revoked_token_is_dead_on_every_worker(alice: httpx.AsyncClient, elsewhere: Running) -> None:
    service_id, token_id, secret = await created(alice)
    assert await elsewhere.state["services"].authenticate(secret)
    path = f"/api/services/{service_id}/tokens/{token_id}"
    assert (await alice.delete(path)).status_code == 204
    assert (await alice.delete(path)).status_code == 404
    await elsewhere.state["store"].idempotent("PING")
    await elsewhere.state["tracking"].tracked.idempotent("GET", "x")
    assert await elsewhere.state["services"].authenticate(secret) is None


async def test_a_token_expires(alice: httpx.AsyncClient, service: Running, clock: Clock) -> None:
    _, _, secret = await created(alice)
    clock.move(86_399)
    assert await service.state["services"].authenticate(secret)
    clock.move(1)
    assert await service.state["services"].authenticate(secret) is None


async def test_grants_are_replaced_by_feature(alice: httpx.AsyncClient, service: Running) -> None:
    service_id, _, secret = await created(alice)
    changed = await alice.patch(f"/api/services/{service_id}", json={"wechat": {}})
    assert (changed.json()["wechat"], changed.json()["config"]) == ({}, {"a": "read"})
    found = await service.state["services"].authenticate(secret)
    assert found.grants.wechat == {}


async def test_a_removed_service_authenticates_no_longer(alice: httpx.AsyncClient, service: Running) -> None:
    service_id, _, secret = await created(alice)
    assert (await alice.delete(f"/api/services/{service_id}")).status_code == 204
    assert await service.state["services"].authenticate(secret) is None
    assert (await alice.delete(f"/api/services/{service_id}")).status_code == 404
    await created(alice)  # the name is free


async def test_a_name_is_taken_once(alice: httpx.AsyncClient) -> None:
    await created(alice)
    assert (await alice.post("/api/services", json={"name": "billing"})).status_code == 409


async def test_only_administrators_manage_services(bob: httpx.AsyncClient, service: Running) -> None:
    assert (await bob.post("/api/services", json={"name": "billing"})).status_code == 403
    assert (await service.client.get("/api/services")).status_code == 401


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "A b"}, "name"),
        ({"name": "a", "wechat": {"shop": {"paths": ["a?b"]}}}, "wechat.shop.paths.0"),
        ({"name": "a", "wechat": {"shop": {"per_day": 0}}}, "wechat.shop.per_day"),
        ({"name": "a", "wechat": {"shop": {"raw_token": "yes"}}}, "wechat.shop.raw_token"),
        ({"name": "a", "other": {}}, "other"),
    ],
)
async def test_a_wrong_member_is_named(alice: httpx.AsyncClient, body: Any, field: str) -> None:
    answer = await alice.post("/api/services", json=body)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert (await alice.get("/api/services")).json() == []


async def test_a_service_of_the_settings_is_locked(start: Start) -> None:
    secret = "tgs_" + "x" * 43
    table = {"tokens": [hashlib.sha256(secret.encode()).hexdigest()], "wechat": {"shop": {"raw_token": True}}}
    async with start(services={"billing": table}) as service:
        found = await service.state["services"].authenticate(secret)
        assert found.configured
        assert found.grants.wechat["shop"].raw_token


def test_a_wrong_table_is_named() -> None:
    with pytest.raises(SettingsError, match=r"services\.billing\.tokens\.0: "):
        configured_services({"billing": {"tokens": ["tgs_plain"]}})
