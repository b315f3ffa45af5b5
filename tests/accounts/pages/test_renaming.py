"""A user's own name, changed on the account page."""

import asyncio
from collections.abc import Callable

import httpx
import pytest

from app.audit.log import Event
from app.settings import Settings
from tests.accounts.pages.reading import error_at, message, rows, same_browser, status, value_of
from tests.helpers.cast import PASSWORD, Cast, make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running
from tests.helpers.waiting import eventually


async def rename(client: httpx.AsyncClient, name: str) -> httpx.Response:
    return await client.post("/account/name", data={"username": name})


async def name_of(client: httpx.AsyncClient) -> str:
    return str((await client.get("/api/session")).json()["user"]["name"])


async def test_the_new_name_is_shown_and_signs_in(bob: httpx.AsyncClient, service: Running) -> None:
    assert value_of(await bob.get("/account"), "username") == "bob"
    answer = await rename(bob, " Robert ")
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    page = await bob.get("/account")
    assert message(page) == "Saved."
    assert '<p class="name">Robert</p>' in page.text
    assert value_of(page, "username") == "Robert"
    assert await name_of(await signed_in(service, "robert")) == "Robert"
    form = {"username": "bob", "password": PASSWORD}
    assert (await service.another_client().post("/api/session", json=form)).status_code == 401


async def test_every_worker_shows_it_at_once(bob: httpx.AsyncClient, elsewhere: Running) -> None:
    there, phone = same_browser(bob, elsewhere), await signed_in(elsewhere, "bob")
    for one in (there, phone):
        assert "bob" in (await one.get("/")).text
    await rename(bob, "robert")

    async def known() -> bool:
        return [await name_of(one) for one in (there, phone)] == ["robert"] * 2

    await eventually(known)
    for one in (bob, there, phone):
        for path in ("/", "/account", "/api/account"):
            text = (await one.get(path)).text
            assert "robert" in text
            assert "bob" not in text


async def test_sessions_and_tokens_stay(bob: httpx.AsyncClient, service: Running) -> None:
    phone = await signed_in(service, "bob")
    token = (await bob.post("/api/account/tokens", json={"name": "backup"})).json()["token"]
    before = bob.cookies["tallygate"]
    await rename(bob, "robert")
    assert bob.cookies["tallygate"] == before
    assert [await status(one) for one in (bob, phone)] == [200, 200]
    program = service.another_client(headers={"Authorization": f"Bearer {token}"})
    assert (await program.get("/api/account")).json()["name"] == "robert"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("alice", "This name is taken."),
        ("ＡLICE", "This name is taken."),
        ("", "Please enter a name."),
        ("a b", "A name cannot contain spaces or invisible characters."),
        ("a/b", 'A name cannot contain / \\ : , ; < > ".'),
        ("x" * 65, "A name has at most 64 characters."),
    ],
)
async def test_bad_name_is_shown_at_its_field(
    bob: httpx.AsyncClient, service: Running, cast: Cast, name: str, reason: str
) -> None:
    page = await rename(bob, name)
    assert page.status_code == 400
    assert error_at(page, "username") == reason
    assert value_of(page, "username") == name
    assert '<p class="name">bob</p>' in page.text
    assert await service.state["accounts"].by_id(cast.bob.id) == cast.bob
    assert (await bob.get("/account")).text.count(reason) == 0


async def test_unknown_form_field_is_named(bob: httpx.AsyncClient, cast: Cast) -> None:
    answer = await bob.post("/account/name", data={"username": "x" * 3000}, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["field"]) == (400, "username")


async def test_concurrent_rename_shows_that_the_name_is_taken(bob: httpx.AsyncClient, elsewhere: Running) -> None:
    charlie = await signed_in(elsewhere, "charlie")
    answers = await asyncio.gather(rename(bob, "robert"), rename(charlie, "Robert"))
    assert sorted(answer.status_code for answer in answers) == [303, 400]
    assert [error_at(page, "username") for page in answers if page.status_code == 400] == ["This name is taken."]


async def test_renaming_needs_reauthentication(bob: httpx.AsyncClient, clock: Clock) -> None:
    clock.move(601)
    answer = await rename(bob, "robert")
    assert answer.status_code == 401
    assert "Confirm it's you" in answer.text
    assert await name_of(bob) == "bob"


async def test_renaming_needs_a_user(client: httpx.AsyncClient) -> None:
    answer = await rename(client, "robert")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")


async def test_asking_which_names_are_taken_is_limited(bob: httpx.AsyncClient) -> None:
    answers = [(await rename(bob, "alice")).status_code for _ in range(11)]
    assert answers == [400] * 10 + [429]
    assert (await rename(bob, "robert")).status_code == 429
    assert await name_of(bob) == "bob"


async def test_renaming_is_audited_with_the_former_name(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, service: Running, cast: Cast
) -> None:
    await rename(bob, "robert")
    await rename(bob, "robert")
    await rename(bob, "alice")
    page = await service.state["audit"].page()
    noted = [(entry.user, entry.detail) for entry in page.entries if entry.event == Event.RENAMED]
    assert noted == [(cast.bob.id, "bob")]
    assert rows(await alice.get("/admin/audit"))[0].startswith("Renamed formerly bob robert ")
    page = await alice.get("/admin/audit", headers={"Accept-Language": "zh"})
    assert rows(page)[0].startswith("用户名已修改 原名 bob robert ")


async def test_renaming_is_refused_with_legacy_cookies(make_settings: Callable[..., Settings]) -> None:
    """Otherwise the next owner of a name would be signed in by the cookie of its former owner."""
    async with running(make_settings(legacy_flask_secret="flask")) as service:
        await make_cast(service)
        bob = await signed_in(service, "bob")
        assert "/account/name" not in (await bob.get("/account")).text
        assert (await rename(bob, "robert")).status_code == 403
        assert await name_of(bob) == "bob"
