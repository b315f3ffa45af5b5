"""Reset links: made by an administrator, used once."""

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.accounts.conftest import Start
from tests.accounts.pages.reading import alert, error_at, message, shown_secret, status
from tests.helpers.cast import PASSWORD, Cast, make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running

NEW = "seven quiet ferries"


async def link_for(alice: httpx.AsyncClient, user_id: str) -> str:
    """The path and query of a new reset link, as the user's page shows it."""
    page = await alice.post(f"/admin/users/{user_id}/reset-link", follow_redirects=True)
    link = urlsplit(shown_secret(page))
    assert link.path == "/reset"
    return f"{link.path}?{link.query}"


async def use(service: Running, link: str, password: str = NEW) -> httpx.Response:
    (token,) = parse_qs(urlsplit(link).query)["token"]
    return await service.another_client().post("/reset", data={"token": token, "password": password})


@pytest.fixture
async def alice(service: Running, cast: Cast) -> httpx.AsyncClient:
    return await signed_in(service, "alice")


async def test_reset_link_sets_the_password_and_ends_all_sessions(
    service: Running, cast: Cast, alice: httpx.AsyncClient
) -> None:
    bob = await signed_in(service, "bob")
    link = await link_for(alice, cast.bob.id)
    page = await service.client.get(link)
    assert "bob" in page.text
    answer = await use(service, link)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?notice=password-reset")
    assert (
        message(await service.client.get(answer.headers["location"])) == "Your password has been set. Please sign in."
    )
    assert await status(bob) == 401
    await signed_in(service, "bob", NEW)
    refused = await service.another_client().post("/api/session", json={"username": "bob", "password": PASSWORD})
    assert refused.status_code == 401


async def test_reset_link_is_shown_once(cast: Cast, alice: httpx.AsyncClient) -> None:
    answer = await alice.post(f"/admin/users/{cast.bob.id}/reset-link")
    assert answer.status_code == 303
    place = answer.headers["location"]
    assert "/reset?token=" in shown_secret(await alice.get(place))
    assert "/reset?token=" not in (await alice.get(place)).text


async def test_it_works_once(service: Running, cast: Cast, alice: httpx.AsyncClient) -> None:
    link = await link_for(alice, cast.bob.id)
    assert (await use(service, link)).status_code == 303
    assert (await use(service, link, "another fine password")).status_code == 404
    assert (await service.client.get(link)).status_code == 404
    await signed_in(service, "bob", NEW)


async def test_reset_link_ends_with_a_password_change(service: Running, cast: Cast, alice: httpx.AsyncClient) -> None:
    first, second = await link_for(alice, cast.bob.id), await link_for(alice, cast.bob.id)
    assert (await use(service, first)).status_code == 303
    assert (await use(service, second, "another fine password")).status_code == 404


async def test_reset_link_ends_after_a_day(start: Start, clock: Clock) -> None:
    async with start() as service:
        cast = await make_cast(service)
        link = await link_for(await signed_in(service, "alice"), cast.bob.id)
        clock.move(86_399)
        assert (await service.client.get(link)).status_code == 200
        clock.move(1)
        assert (await service.client.get(link)).status_code == 404
        assert (await use(service, link)).status_code == 404


async def test_a_weak_password_keeps_the_link(service: Running, cast: Cast, alice: httpx.AsyncClient) -> None:
    link = await link_for(alice, cast.bob.id)
    answer = await use(service, link, "short")
    assert answer.status_code == 400
    assert error_at(answer, "password") == "A password has at least 8 characters."
    assert (await use(service, link)).status_code == 303


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "x" * 2000, "%00", "\u4f60"])
async def test_other_tokens_are_not_found(service: Running, cast: Cast, token: str) -> None:
    for answer in (
        await service.client.get("/reset", params={"token": token}),
        await service.client.post("/reset", data={"token": token, "password": PASSWORD}),
    ):
        assert answer.status_code == 404
        assert "no longer valid" in str(alert(answer))
        assert "Ask an administrator" in answer.text  # with a mail server: a form


async def test_the_users_page_shows_and_changes_the_profile(
    service: Running, cast: Cast, alice: httpx.AsyncClient
) -> None:
    path = f"/admin/users/{cast.bob.id}"
    assert "bob" in (await alice.get(path)).text
    fields = {"display_name": "Bob Lee", "email": "bob@example.com", "email_verified": "on", "groups": "ops, dev"}
    assert (await alice.post(f"/admin/users/{cast.bob.id}/profile", data=fields)).status_code == 303
    bob = await service.state["accounts"].by_name("bob")
    assert (bob.display_name, bob.email, bob.email_verified, bob.groups) == (
        "Bob Lee", "bob@example.com", True, ("dev", "ops"),
    )  # fmt: skip
    wrong = await alice.post(f"/admin/users/{cast.bob.id}/profile", data=fields | {"email": "nonsense"})
    assert error_at(wrong, "email") == "This is not an e-mail address."
    assert (await (await signed_in(service, "bob")).get(path)).status_code == 403


async def test_removing_asks_for_the_name(service: Running, cast: Cast, alice: httpx.AsyncClient) -> None:
    path = f"/admin/users/{cast.bob.id}/remove"
    assert (await alice.post(path, data={"name": "bo"})).status_code == 400
    assert (await alice.post(path, data={"name": "bob"})).status_code == 303
    assert await service.state["accounts"].by_name("bob") is None
    own = f"/admin/users/{cast.alice.id}/remove"
    assert (await alice.post(own, data={"name": "alice"})).status_code == 409
