"""A user's API tokens, through the page."""

import re

import httpx
import pytest

from tests.accounts.pages.reading import alert, error_at, message, rows, shown_secret, status
from tests.helpers.cast import signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running

DAY = 86_400


async def create(client: httpx.AsyncClient, name: str = "backup", days: str = "30") -> httpx.Response:
    return await client.post("/account/tokens", data={"name": name, "days": days}, follow_redirects=True)


def program(service: Running, secret: str) -> httpx.AsyncClient:
    """A program that has a token, and no cookie."""
    return service.another_client(headers={"Authorization": f"Bearer {secret}"})


async def test_a_token_is_shown_once_and_stands_in_for_its_owner(bob: httpx.AsyncClient, service: Running) -> None:
    page = await create(bob)
    assert page.status_code == 200
    secret = shown_secret(page)
    assert re.fullmatch(r"tgt_[A-Za-z0-9_-]{43}", secret)
    later = await bob.get("/account/tokens")
    assert secret not in later.text
    assert [row.split()[0] for row in rows(later)] == ["backup"]
    assert (await program(service, secret).get("/api/account")).json()["name"] == "bob"


async def test_a_revoked_token_is_dead_at_once_on_every_worker(
    bob: httpx.AsyncClient, service: Running, elsewhere: Running
) -> None:
    secret = shown_secret(await create(bob))
    there = program(elsewhere, secret)
    assert await status(there) == 200
    (token,) = (await bob.get("/api/account/tokens")).json()
    answer = await bob.post("/account/tokens/revoke", data={"id": token["id"]})
    assert (answer.status_code, answer.headers["location"]) == (303, "/account/tokens")
    assert await status(there) == 401
    page = await bob.get("/account/tokens")
    assert message(page) == "The token has been revoked."
    assert not rows(page)
    assert (await bob.post("/account/tokens/revoke", data={"id": token["id"]})).status_code == 404


async def test_token_of_another_user_cannot_be_revoked(bob: httpx.AsyncClient, service: Running) -> None:
    await create(bob)
    (token,) = (await bob.get("/api/account/tokens")).json()
    charlie = await signed_in(service, "charlie")
    assert (await charlie.post("/account/tokens/revoke", data={"id": token["id"]})).status_code == 404
    assert not rows(await charlie.get("/account/tokens"))
    assert len(rows(await bob.get("/account/tokens"))) == 1


async def test_token_expires_as_chosen(bob: httpx.AsyncClient, service: Running, clock: Clock) -> None:
    short, endless = shown_secret(await create(bob, days="30")), shown_secret(await create(bob, "ever", "0"))
    clock.move(30 * DAY - 1)
    assert await status(program(service, short)) == 200
    clock.move(1)
    assert await status(program(service, short)) == 401
    assert await status(program(service, endless)) == 200
    alike = await signed_in(service, "bob")
    assert [row.split()[0] for row in rows(await alike.get("/account/tokens"))] == ["ever"]


@pytest.mark.parametrize(
    ("name", "days", "field"),
    [
        ("", "30", "name"),
        ("   ", "30", "name"),
        ("x" * 101, "30", "name"),
        ("backup", "", "days"),
        ("backup", "-1", "days"),
        ("backup", "3651", "days"),
        ("backup", "000000999999999999", "days"),
        ("backup", "9" * 2000, "days"),
        ("backup", "1.5", "days"),
        ("backup", "٣", "days"),
        ("backup", "30\n", "days"),
    ],
)
async def test_mistake_is_shown_at_its_field(bob: httpx.AsyncClient, name: str, days: str, field: str) -> None:
    page = await create(bob, name, days)
    assert page.status_code == 400
    assert error_at(page, field)
    assert not rows(page)


async def test_user_has_at_most_fifty_tokens(bob: httpx.AsyncClient, service: Running) -> None:
    user = (await bob.get("/api/account")).json()
    for number in range(50):
        await service.state["tokens"].create(user["id"], f"token {number}")
    page = await create(bob)
    assert page.status_code == 400
    assert alert(page) == "You have too many tokens: revoke one first."
    answer = await bob.post("/api/account/tokens", json={"name": "one more"})
    assert answer.status_code == 409
    assert len(rows(await bob.get("/account/tokens"))) == 50


async def test_token_name_is_escaped(bob: httpx.AsyncClient) -> None:
    page = await create(bob, "<b>nightly</b> & co")
    assert "&lt;b&gt;nightly&lt;/b&gt; &amp; co" in page.text
    assert "<b>nightly" not in page.text


async def test_a_token_opens_no_page(bob: httpx.AsyncClient, service: Running) -> None:
    there = program(service, shown_secret(await create(bob)))
    for path in ("/account", "/account/devices", "/account/tokens"):
        assert (await there.get(path)).status_code == 303
    assert (await there.get("/", headers={"Accept": "application/json"})).json().keys() == {"visits"}
