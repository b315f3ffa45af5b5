"""The administration asks before it does what somebody would miss, without a script."""

import httpx
import pytest

from tests.accounts.conftest import Start
from tests.accounts.pages.reading import message, rows
from tests.helpers.cast import Cast, make_cast, signed_in
from tests.helpers.service import Running

QUESTIONS = {
    "disable": "Disable bob?",
    "end-sessions": "End all sessions of bob?",
    "make-admin": "Make bob an administrator?",
}


@pytest.mark.parametrize("action", QUESTIONS)
async def test_question_about_a_user_changes_nothing(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, service: Running, cast: Cast, action: str
) -> None:
    path = f"/admin/users/{cast.bob.id}/{action}"
    place = f"/admin/users/{cast.bob.id}"
    assert f'href="{path}?next={place}"' in (await alice.get(place)).text
    page = await alice.get(path)
    assert page.status_code == 200
    assert f'<h1 class="name">{QUESTIONS[action]}</h1>' in page.text
    assert f'action="/admin/users/{cast.bob.id}"' in page.text
    assert f'name="action" value="{action}"' in page.text
    assert await service.state["accounts"].by_id(cast.bob.id) == cast.bob
    assert (await bob.get("/account")).status_code == 200


async def test_an_administrator_is_warned_of_their_own_account(alice: httpx.AsyncClient, cast: Cast) -> None:
    own, other = [await alice.get(f"/admin/users/{user.id}/end-sessions") for user in (cast.alice, cast.bob)]
    assert "This is your own account." in own.text
    assert "This is your own account." not in other.text


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("disable", "The account has been disabled and signed out everywhere."),
        ("enable", "The account has been enabled."),
        ("end-sessions", "All sessions of the account have been ended."),
        ("make-admin", "The account is an administrator now."),
        ("remove-admin", "The account is no longer an administrator."),
    ],
)
async def test_result_is_shown_on_the_list(alice: httpx.AsyncClient, cast: Cast, action: str, said: str) -> None:
    place = "/admin/users?q=b"
    answer = await alice.post(f"/admin/users/{cast.bob.id}", data={"action": action, "next": place})
    assert (answer.status_code, answer.headers["location"]) == (303, place)
    page = await alice.get(place)
    assert message(page) == said
    assert [row.split()[0] for row in rows(page)] == ["bob"]


async def test_question_returns_to_its_page(alice: httpx.AsyncClient, cast: Cast) -> None:
    place = "/admin/users?q=user&amp;after=user049"
    question = await alice.get(f"/admin/users/{cast.bob.id}/disable", params={"next": place.replace("&amp;", "&")})
    assert f'<a class="button secondary" href="{place}">Cancel</a>' in question.text
    assert f'name="next" value="{place}"' in question.text


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
async def test_answers_stay_on_this_site(alice: httpx.AsyncClient, cast: Cast, target: str) -> None:
    question = await alice.get(f"/admin/users/{cast.bob.id}/end-sessions", params={"next": target})
    assert '<a class="button secondary" href="/admin/users">Cancel</a>' in question.text
    answer = await alice.post(f"/admin/users/{cast.bob.id}", data={"action": "end-sessions", "next": target})
    assert answer.headers["location"] == "/admin/users"


async def test_only_administrators_are_asked(bob: httpx.AsyncClient, client: httpx.AsyncClient, cast: Cast) -> None:
    path = f"/admin/users/{cast.alice.id}/disable"
    assert (await bob.get(path)).status_code == 403
    assert (await client.get(path)).headers["location"] == f"/sign-in?next={path}"


@pytest.mark.parametrize("action", ["enable", "delete", "DISABLE", "%00"])
async def test_there_is_no_other_question(alice: httpx.AsyncClient, cast: Cast, action: str) -> None:
    assert (await alice.get(f"/admin/users/{cast.bob.id}/{action}")).status_code == 404
    assert (await alice.get("/admin/users/nobody/disable")).status_code == 404


@pytest.mark.parametrize(("store", "offered"), [("redis", True), ("cookie", False)])
async def test_sessions_are_ended_only_where_they_can_be(start: Start, store: str, offered: bool) -> None:
    async with start(session_store=store) as service:
        cast = await make_cast(service)
        await signed_in(service, "bob")
        page = await (await signed_in(service, "alice")).get(f"/admin/users/{cast.bob.id}")
        assert ("End sessions" in page.text) is offered
        assert "Disable" in page.text
