"""API tokens: they stand in for a session in the API, and nowhere else."""

import re

import httpx
import pytest

from tests.accounts.pages.reading import status, until_thrown_out
from tests.helpers.api import problem, program, token_for, true_to_the_document
from tests.helpers.cast import Cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running

DAY = 86_400
__all__ = ["true_to_the_document"]


async def test_token_is_shown_once(bob: httpx.AsyncClient, clock: Clock) -> None:
    answer = await bob.post("/api/account/tokens", json={"name": " backup ", "days": 30})
    assert answer.status_code == 201
    created = answer.json()
    assert re.fullmatch(r"tgt_[A-Za-z0-9_-]{43}", created.pop("token"))
    assert (created["name"], created["expires"]) == ("backup", clock() + 30 * DAY)
    assert (await bob.get("/api/account/tokens")).json() == [created]
    assert (await bob.post("/api/account/tokens", json={"name": "ever", "days": None})).json()["expires"] is None


async def test_a_token_stands_in_for_a_session_in_the_api_only(bob: httpx.AsyncClient, service: Running) -> None:
    there = program(service, await token_for(bob))
    assert (await there.get("/api/session")).json()["user"]["name"] == "bob"
    assert (await there.get("/api/account")).json()["name"] == "bob"
    (session,) = (await there.get("/api/account/sessions")).json()
    assert session["current"] is False
    assert (await there.get("/account")).status_code == 303
    problem(await there.get("/account", headers={"Accept": "application/json"}), 401)
    assert "user" not in (await there.get("/", headers={"Accept": "application/json"})).json()
    assert (await there.delete(f"/api/account/sessions/{session['id']}")).status_code == 204
    await until_thrown_out(bob)
    assert await status(there) == 200


async def test_a_token_creates_no_tokens(bob: httpx.AsyncClient, service: Running) -> None:
    there = program(service, await token_for(bob), cookies=bob.cookies)
    problem(await there.post("/api/account/tokens", json={"name": "offspring"}), 403)
    assert len((await bob.get("/api/account/tokens")).json()) == 1


async def test_stale_session_creates_no_token(bob: httpx.AsyncClient, service: Running, clock: Clock) -> None:
    clock.move(600)
    answer = await bob.post("/api/account/tokens", json={"name": "backup"})
    assert problem(answer, 401)["sign_in_url"] == "/confirm?next=/account/tokens"
    page = await bob.post("/account/tokens", data={"name": "backup", "days": "30"})
    assert page.status_code == 401
    assert "Confirm it's you" in page.text
    assert (await bob.get("/api/account/tokens")).json() == []
    assert (await (await signed_in(service, "bob")).post("/api/account/tokens", json={"name": "b"})).status_code == 201


async def test_a_revoked_token_is_dead_at_once_on_every_worker(bob: httpx.AsyncClient, elsewhere: Running) -> None:
    there = program(elsewhere, await token_for(bob))
    (token,) = (await there.get("/api/account/tokens")).json()
    assert (await bob.delete(f"/api/account/tokens/{token['id']}")).status_code == 204
    problem(await there.get("/api/account"), 401)
    problem(await bob.delete(f"/api/account/tokens/{token['id']}"), 404)


async def test_expired_token_is_refused(bob: httpx.AsyncClient, service: Running, clock: Clock) -> None:
    there = program(service, await token_for(bob, days=1))
    clock.move(DAY - 1)
    assert await status(there) == 200
    clock.move(1)
    problem(await there.get("/api/session"), 401)
    assert not (await (await signed_in(service, "bob")).get("/api/account/tokens")).json()


async def test_token_of_a_disabled_user_is_refused(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, cast: Cast, elsewhere: Running
) -> None:
    there = program(elsewhere, await token_for(bob))
    assert await status(there) == 200
    await alice.post(f"/admin/users/{cast.bob.id}", data={"action": "disable"})
    await until_thrown_out(there)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize("secret", ["", "tgt_", "tgt_" + "x" * 43, "x" * 43, "é", "a b", "tgt_" + "x" * 9000])
async def test_bad_token_beside_a_good_cookie_is_refused(
    bob: httpx.AsyncClient, service: Running, scheme: str, secret: str
) -> None:
    there = service.another_client(cookies=bob.cookies)
    answer = await there.get("/api/session", headers=[(b"Authorization", f"{scheme} {secret}".encode())])
    problem(answer, 401)


async def test_the_cookie_is_ignored_beside_a_token(
    bob: httpx.AsyncClient, alice: httpx.AsyncClient, service: Running
) -> None:
    secret = await token_for(bob)
    there = program(service, secret, cookies=alice.cookies)
    assert (await there.get("/api/session")).json()["user"]["name"] == "bob"
    assert (await there.get("/api/account")).json()["name"] == "bob"
    assert {each["current"] for each in (await there.get("/api/account/sessions")).json()} == {False}
    home = (await there.get("/", headers={"Accept": "application/json"})).json()
    assert home["user"]["name"] == "alice"  # not in /api/


@pytest.mark.parametrize(
    ("given", "who"), [("Basic Ym9iOm5v", "bob"), ("basic", "bob"), ("Digest x", None), ("", None)]
)
async def test_only_basic_authorization_of_a_proxy_is_ignored(
    bob: httpx.AsyncClient, given: str, who: str | None
) -> None:
    for path in ("/api/session", "/api/account"):
        answer = await bob.get(path, headers={"Authorization": given})
        assert answer.status_code == (200 if who else 401)
