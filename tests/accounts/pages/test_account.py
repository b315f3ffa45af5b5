"""A user's own account: language and password."""

import asyncio

import httpx
import pytest

from app.store.tracking import Tracking
from tests.accounts.conftest import Start
from tests.accounts.pages.reading import error_at, message, same_browser, status, until_thrown_out
from tests.helpers.cast import PASSWORD, make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running
from tests.helpers.waiting import eventually

NEW = "a lamp beside the harbour"


async def change(
    client: httpx.AsyncClient, *, current: str = PASSWORD, new: str = NEW, end_others: bool = True
) -> httpx.Response:
    form = {"current": current, "new": new} | ({"end_others": "on"} if end_others else {})
    return await client.post("/account/password", data=form)


async def knows(service: Running, name: str, password: str) -> bool:
    answer = await service.another_client().post("/api/session", json={"username": name, "password": password})
    return answer.status_code == 200


async def test_account_page_shows_the_user(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    page = await bob.get("/account")
    assert page.status_code == 200
    assert '<p class="name">bob</p>' in page.text
    assert "Administrator" not in page.text
    assert "Administrator" in (await alice.get("/account")).text


async def test_account_page_needs_a_session(client: httpx.AsyncClient) -> None:
    answer = await client.get("/account")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/account")


async def test_language_follows_the_user(bob: httpx.AsyncClient, service: Running) -> None:
    answer = await bob.post("/account", data={"locale": "zh"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    page = await bob.get("/account")
    assert '<html lang="zh">' in page.text
    assert message(page) == "已保存。"
    assert '<option value="zh" lang="zh" selected>' in page.text
    assert (await bob.get("/api/account")).json()["locale"] == "zh"
    await bob.post("/account", data={"locale": ""})
    page = await bob.get("/account", headers={"Accept-Language": "en"})
    assert '<html lang="en">' in page.text
    assert (await bob.get("/api/account")).json()["locale"] is None


async def test_the_worker_that_has_changed_something_shows_it_at_once(
    bob: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the message that it has changed may still be on its way."""
    monkeypatch.setattr(Tracking, "changed", lambda tracked, keys: None)
    for locale in ("zh", ""):
        await bob.post("/account", data={"locale": locale})
        assert (await bob.get("/api/account")).json()["locale"] == (locale or None)
    await bob.post("/account/name", data={"username": "robert"})
    assert (await bob.get("/api/account")).json()["name"] == "robert"


async def test_first_password_is_needed_from_then_on(
    bob: httpx.AsyncClient, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = await as_user(service, bob, (await service.state["accounts"].create("dora", None)).id)
    monkeypatch.setattr(Tracking, "changed", lambda tracked, keys: None)
    assert "Set a password" in (await browser.get("/account")).text
    await change(browser, current="")
    assert "Set a password" not in (await browser.get("/account")).text


async def test_a_language_that_there_is_not_is_refused(bob: httpx.AsyncClient) -> None:
    answer = await bob.post("/account", data={"locale": "tlh"}, headers={"Accept": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["field"] == "locale"
    assert (await bob.get("/api/account")).json()["locale"] is None


async def test_new_password_replaces_the_old(bob: httpx.AsyncClient, service: Running) -> None:
    answer = await change(bob)
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    assert message(await bob.get("/account")) == "Your password has been changed."
    assert await knows(service, "bob", NEW)
    assert not await knows(service, "bob", PASSWORD)


async def test_the_current_password_is_needed(bob: httpx.AsyncClient, service: Running) -> None:
    for current in ("not that", ""):
        page = await change(bob, current=current)
        assert page.status_code == 400
        assert error_at(page, "current") == "The current password is wrong."
        assert NEW not in page.text
    assert await knows(service, "bob", PASSWORD)
    assert await status(bob) == 200


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        ("", "A password has at least 8 characters."),
        ("iloveyou1", "Common passwords are not accepted."),
        ("bob-bob-bob", "Your name is not accepted as a password."),
        ("aaaaaaaaaaaa", "Common passwords are not accepted."),
        ("x" * 257, "A password has at most 256 characters."),
    ],
)
async def test_a_weak_password_is_refused_at_its_field(
    bob: httpx.AsyncClient, service: Running, new: str, reason: str
) -> None:
    page = await change(bob, new=new)
    assert page.status_code == 400
    assert error_at(page, "new") == reason
    assert await knows(service, "bob", PASSWORD)


async def test_password_change_rotates_the_session_id(bob: httpx.AsyncClient, service: Running) -> None:
    before = same_browser(bob, service)
    await change(bob, end_others=False)
    assert same_browser(bob, service).cookies.get("tallygate") != before.cookies.get("tallygate")
    assert await status(bob) == 200
    assert await status(before) == 401


async def test_password_change_ends_other_sessions_if_chosen(bob: httpx.AsyncClient, elsewhere: Running) -> None:
    phone, laptop = await signed_in(elsewhere, "bob"), await signed_in(elsewhere, "bob")
    charlie = await signed_in(elsewhere, "charlie")
    assert [await status(phone), await status(laptop)] == [200, 200]
    await change(bob)
    await until_thrown_out(phone)
    await until_thrown_out(laptop)
    assert await status(bob) == 200
    assert await status(same_browser(bob, elsewhere)) == 200
    assert await status(charlie) == 200


async def test_password_change_keeps_other_sessions_if_chosen(bob: httpx.AsyncClient, elsewhere: Running) -> None:
    phone = await signed_in(elsewhere, "bob")
    await change(bob, end_others=False)
    assert await status(phone) == 200
    assert await knows(elsewhere, "bob", NEW)


async def test_concurrent_password_changes_apply_one(
    bob: httpx.AsyncClient, service: Running, elsewhere: Running
) -> None:
    phone = await signed_in(elsewhere, "bob")
    words = ["first lamp beside the harbour", "second lamp beside the harbour"]
    answers = await asyncio.gather(
        *(change(one, new=new, end_others=False) for one, new in zip((bob, phone), words, strict=True))
    )
    assert sorted(answer.status_code for answer in answers) == [303, 400]
    for answer, new in zip(answers, words, strict=True):
        assert await knows(service, "bob", new) is (answer.status_code == 303)
        if answer.status_code == 400:
            assert error_at(answer, "current") == "The current password is wrong."


async def test_guessing_the_current_password_is_limited(bob: httpx.AsyncClient, service: Running) -> None:
    answers = [(await change(bob, current="not that")).status_code for _ in range(11)]
    assert answers == [400] * 10 + [429]
    assert (await change(bob)).status_code == 429
    assert await knows(service, "bob", PASSWORD)


async def test_user_without_a_password_sets_one(bob: httpx.AsyncClient, clock: Clock, service: Running) -> None:
    dora = await service.state["accounts"].create("dora", None)
    await service.state["sessions"].end_all(dora.id)
    browser = await as_user(service, bob, dora.id)
    page = await browser.get("/account")
    assert "Set a password" in page.text
    assert 'name="current"' not in page.text
    clock.move(600)
    answer = await change(browser, current="")  # perhaps of who has found the browser open
    assert answer.status_code == 401
    assert "Confirm it's you" in answer.text
    clock.move(-600)
    assert (await change(browser, current="")).status_code == 303
    assert await knows(service, "dora", NEW)
    assert error_at(await change(browser, current="", new=PASSWORD), "current") is not None


async def as_user(service: Running, other: httpx.AsyncClient, user_id: str) -> httpx.AsyncClient:
    """A browser of a user who has signed in elsewhere: another's session, turned into that user's."""
    browser = same_browser(other, service)
    (session,) = await service.state["sessions"].of_user((await other.get("/api/account")).json()["id"])
    await service.state["store"].idempotent("HSET", f"session:{session.key}", "u", user_id)

    async def turned() -> bool:
        return bool((await browser.get("/api/account")).json()["id"] == user_id)

    await eventually(turned)
    return browser


@pytest.mark.parametrize(("store", "offered"), [("redis", True), ("cookie", False)])
async def test_ending_the_others_is_offered_where_it_can_be_done(start: Start, store: str, offered: bool) -> None:
    async with start(session_store=store) as service:
        await make_cast(service)
        bob = await signed_in(service, "bob")
        assert ('name="end_others"' in (await bob.get("/account")).text) is offered
        assert (await change(bob)).status_code == 303
        assert await status(bob) == 200
