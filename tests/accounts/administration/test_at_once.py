"""Two administrators at the same moment: one always remains, and nothing is half done."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from tests.accounts.pages.reading import status
from tests.helpers.cast import Cast, signed_in
from tests.helpers.service import Running
from tests.helpers.valkey import Valkey

ROUNDS = 8
Act = Callable[[httpx.AsyncClient, str], Awaitable[httpx.Response]]


def form(path: str, **data: str) -> Act:
    return lambda browser, user: browser.post(f"/admin/users/{user}{path}", data=data)


ACTS: dict[str, Act] = {
    "disable": form("", action="disable"),
    "enable": form("", action="enable"),
    "promote": form("", action="make-admin"),
    "group": form("/profile", display_name="", email="bob@example.com", email_verified="on", groups="ops"),
    "remove": form("/remove", name="bob"),
    "link": form("/reset-link"),
    "api": lambda browser, user: browser.delete(f"/api/users/{user}"),
}


@pytest.fixture
async def both(service: Running, cast: Cast) -> tuple[httpx.AsyncClient, httpx.AsyncClient]:
    """The browsers of alice and charlie, two administrators."""
    await service.state["accounts"].set_admin(cast.charlie.id, True)
    return await signed_in(service, "alice"), await signed_in(service, "charlie")


@pytest.mark.parametrize("act", [form("", action="disable"), form("", action="remove-admin"), ACTS["api"]])
async def test_concurrent_removals_of_two_administrators_leave_one(
    both: tuple[httpx.AsyncClient, httpx.AsyncClient], service: Running, cast: Cast, act: Act
) -> None:
    alice, charlie = both
    answers = await asyncio.gather(act(alice, cast.charlie.id), act(charlie, cast.alice.id))
    done = [answer for answer in answers if answer.status_code in {204, 303}]
    assert done, [answer.text for answer in answers]
    assert all(answer.status_code in {204, 303, 401, 403, 404, 409} for answer in answers)
    users = [await service.state["accounts"].by_id(user.id) for user in (cast.alice, cast.charlie)]
    left = [user for user in users if user is not None and user.is_admin and not user.disabled]
    assert len(left) == 1
    assert await status(alice if left[0].id == cast.alice.id else charlie) == 200


@pytest.mark.parametrize("other", ["disable", "enable", "promote", "group", "link", "remove", "api"])
async def test_a_user_who_is_removed_while_another_acts_is_gone_whole(
    both: tuple[httpx.AsyncClient, httpx.AsyncClient], service: Running, cast: Cast, server: Valkey, other: str
) -> None:
    alice, charlie = both
    for _ in range(ROUNDS):
        bob = await service.state["accounts"].by_name("bob") or await service.state["accounts"].create("bob", None)
        await service.state["users"].set_groups(bob.id, ("staff",))
        answers = await asyncio.gather(ACTS["remove"](alice, bob.id), ACTS[other](charlie, bob.id))
        assert all(answer.status_code in {204, 303, 404} for answer in answers), [each.text for each in answers]
        assert await service.state["accounts"].by_id(bob.id) is None
        assert await service.state["accounts"].by_name("bob") is None
        with server.client as client:
            assert client.sismember("{accounts}:admins", bob.id) == 0
        members = [await service.state["users"].members(group) for group in ("staff", "ops")]
        assert members == [[], []]
        assert await service.state["users"].by_email("bob@example.com") is None


async def test_a_removal_that_was_interrupted_can_be_finished_but_not_undone(
    both: tuple[httpx.AsyncClient, httpx.AsyncClient], service: Running, cast: Cast
) -> None:
    alice, _ = both
    await service.state["accounts"].begin_removal(cast.bob.id)
    assert (await ACTS["enable"](alice, cast.bob.id)).status_code == 404
    assert (await ACTS["promote"](alice, cast.bob.id)).status_code == 404
    assert (await ACTS["remove"](alice, cast.bob.id)).status_code == 303
    assert await service.state["accounts"].by_id(cast.bob.id) is None


async def test_concurrent_changes_of_groups_are_all_kept(
    both: tuple[httpx.AsyncClient, httpx.AsyncClient], cast: Cast
) -> None:
    names = [f"g{number}" for number in range(10)]
    body = {"users": [cast.bob.id]}
    await asyncio.gather(
        *(
            browser.patch("/api/users", json=body | {"join": name})
            for name, browser in zip(names, 5 * both, strict=True)
        )
    )
    assert (await both[0].get(f"/api/users/{cast.bob.id}")).json()["groups"] == names
