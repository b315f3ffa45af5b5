"""The API of the administration."""

from typing import Any
from unittest.mock import AsyncMock

import httpx
import pytest

from app.accounts.users.profile_store import UserStore
from app.store.client import StoreUnavailable
from tests.accounts.conftest import Start
from tests.helpers.api import problem, program, token_for, true_to_the_document
from tests.helpers.cast import Cast, make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running

__all__ = ["true_to_the_document"]


@pytest.fixture
async def alice(service: Running, cast: Cast) -> httpx.AsyncClient:
    return await signed_in(service, "alice")


async def test_an_administrator_changes_groups_and_address(alice: httpx.AsyncClient, cast: Cast) -> None:
    answer = await alice.patch(f"/api/users/{cast.bob.id}", json={"groups": ["ops", "dev"], "email": "bob@example.com"})
    assert answer.status_code == 200
    assert answer.json()["groups"] == ["dev", "ops"]
    assert (answer.json()["email"], answer.json()["email_verified"]) == ("bob@example.com", True)
    assert [(each["name"], each["members"]) for each in (await alice.get("/api/groups")).json()] == [
        ("dev", 1),
        ("ops", 1),
    ]
    await alice.patch(f"/api/users/{cast.bob.id}", json={"groups": ["ops"]})
    assert [each["members"] for each in (await alice.get("/api/groups")).json()] == [0, 1]


async def test_the_user_sees_its_own_profile(service: Running, alice: httpx.AsyncClient, cast: Cast) -> None:
    bob = await signed_in(service, "bob")
    change = {"display_name": "Bob  Lee", "email": "bob@example.com", "email_verified": True, "groups": ["ops"]}
    await alice.patch(f"/api/users/{cast.bob.id}", json=change)
    for seen in ((await bob.get("/api/account")).json(), (await bob.get("/api/session")).json()["user"]):
        assert (seen["display_name"], seen["email_verified"], seen["groups"]) == ("Bob Lee", True, ["ops"])


async def test_an_administrator_vouches_for_an_address_unless_email_verified_is_false(
    alice: httpx.AsyncClient, cast: Cast
) -> None:
    path = f"/api/users/{cast.bob.id}"

    async def verified(change: dict[str, object]) -> object:
        return (await alice.patch(path, json=change)).json()["email_verified"]

    assert await verified({"email": "bob@example.com"}) is True
    assert await verified({"groups": ["ops"]}) is True
    assert await verified({"email": ""}) is False
    assert await verified({"email": "robert@example.com", "email_verified": False}) is False
    assert await verified({"groups": []}) is False
    # The former address is free for others.
    other = f"/api/users/{cast.charlie.id}"
    assert (await alice.patch(other, json={"email": "BOB@example.com", "email_verified": True})).status_code == 200
    problem(await alice.patch(path, json={"email": "bob@example.com", "email_verified": True}), 409)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"groups": "ops"}, "groups"),
        ({"groups": [1]}, "groups.0"),
        ({"groups": ["a,b"]}, "groups"),
        ({"email": "bob"}, "email"),
        ({"email": "b@example.com\r\nBcc: c@example.com"}, "email"),
        ({"display_name": "x" * 200}, "display_name"),
        ({"is_admin": "yes"}, "is_admin"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_bad_members_are_named(alice: httpx.AsyncClient, cast: Cast, body: dict[str, Any], field: str) -> None:
    path = f"/api/users/{cast.bob.id}"
    before = (await alice.get(path)).json()
    assert problem(await alice.patch(path, json={"disabled": True} | body), 400)["field"] == field
    assert (await alice.get(path)).json() == before


async def test_only_administrators_may(service: Running, cast: Cast) -> None:
    bob = await signed_in(service, "bob")
    for method, path in (("GET", "/api/users"), ("PATCH", f"/api/users/{cast.bob.id}"), ("GET", "/api/groups")):
        problem(await bob.request(method, path, json={"is_admin": True} if method == "PATCH" else None), 403)
    problem(await service.client.get("/api/users"), 401)


async def test_an_old_session_makes_no_administrators(start: Start, clock: Clock) -> None:
    async with start() as service:
        cast = await make_cast(service)
        alice = await signed_in(service, "alice")
        token = await token_for(alice)
        clock.move(601)
        problem(await alice.patch(f"/api/users/{cast.bob.id}", json={"is_admin": True}), 401)
        assert (await alice.get("/api/users")).status_code == 200
        script = program(service, token)
        assert (await script.patch(f"/api/users/{cast.bob.id}", json={"groups": ["ops"]})).status_code == 200


async def test_last_administrator_cannot_be_removed(alice: httpx.AsyncClient, cast: Cast) -> None:
    for change in ({"is_admin": False}, {"disabled": True}):
        problem(await alice.patch(f"/api/users/{cast.alice.id}", json=change), 409)
    problem(await alice.delete(f"/api/users/{cast.alice.id}"), 409)


async def test_a_removed_user_is_gone_and_its_name_is_free(
    service: Running, alice: httpx.AsyncClient, cast: Cast
) -> None:
    bob = await signed_in(service, "bob")
    script = program(service, await token_for(bob))
    await alice.patch(f"/api/users/{cast.bob.id}", json={"groups": ["ops"]})
    assert (await alice.delete(f"/api/users/{cast.bob.id}")).status_code == 204
    assert (await bob.get("/api/session")).status_code == 401
    assert (await script.get("/api/account")).status_code == 401
    problem(await alice.get(f"/api/users/{cast.bob.id}"), 404)
    problem(await alice.delete(f"/api/users/{cast.bob.id}"), 404)
    assert (await alice.get("/api/groups")).json()[0]["members"] == 0
    await service.state["accounts"].create("bob", None)


async def test_groups_are_created_once_and_removed(alice: httpx.AsyncClient, cast: Cast) -> None:
    created = await alice.post("/api/groups", json={"name": "ops"})
    assert (created.status_code, created.json()["name"], created.json()["members"]) == (201, "ops", 0)
    problem(await alice.post("/api/groups", json={"name": "ops"}), 409)
    assert problem(await alice.post("/api/groups", json={"name": "a b"}), 400)["field"] == "name"
    await alice.patch(f"/api/users/{cast.bob.id}", json={"groups": ["ops", "dev"]})
    assert (await alice.delete("/api/groups/ops")).status_code == 204
    problem(await alice.delete("/api/groups/ops"), 404)
    assert (await alice.get(f"/api/users/{cast.bob.id}")).json()["groups"] == ["dev"]


async def test_removal_of_a_group_that_redis_interrupts_can_be_repeated(
    alice: httpx.AsyncClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    await alice.patch(f"/api/users/{cast.bob.id}", json={"groups": ["ops"]})
    with monkeypatch.context() as patch:
        patch.setattr(UserStore, "change_groups", AsyncMock(side_effect=StoreUnavailable("away", sent=False)))
        assert (await alice.delete("/api/groups/ops")).status_code == 503
    assert (await alice.delete("/api/groups/ops")).status_code == 204
    assert (await alice.get(f"/api/users/{cast.bob.id}")).json()["groups"] == []


async def test_administrator_creates_a_reset_link(service: Running, alice: httpx.AsyncClient, cast: Cast) -> None:
    made = await alice.post(f"/api/users/{cast.bob.id}/reset-link")
    assert made.status_code == 201
    page = await service.another_client().get(made.json()["url"])
    assert "bob" in page.text
    problem(await (await signed_in(service, "bob")).post(f"/api/users/{cast.bob.id}/reset-link"), 403)
