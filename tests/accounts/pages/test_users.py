"""The administration of users: who may, and what it does to them, everywhere at once."""

import asyncio
from urllib.parse import urlsplit

import httpx
import pytest

from tests.accounts.conftest import Start
from tests.accounts.pages.reading import next_page, rows, shown_secret, status, until, until_thrown_out
from tests.helpers.cast import PASSWORD, Cast, make_cast, signed_in
from tests.helpers.service import Running


async def act(client: httpx.AsyncClient, user_id: str, action: str) -> httpx.Response:
    return await client.post(f"/admin/users/{user_id}", data={"action": action})


async def test_everybody_is_listed_with_what_they_are(alice: httpx.AsyncClient, cast: Cast) -> None:
    await act(alice, cast.charlie.id, "disable")
    page = await alice.get("/admin/users")
    assert page.status_code == 200
    shown = rows(page)
    assert [row.split()[0] for row in shown] == ["alice", "bob", "charlie"]
    assert "You Administrator" in shown[0]
    assert "Administrator" not in shown[1].split("Make administrator")[0]
    assert "Disabled" in shown[2]
    assert "3 users" in page.text


async def test_users_are_searched_by_how_their_names_begin(alice: httpx.AsyncClient) -> None:
    page = await alice.get("/admin/users", params={"q": "ＢO"})
    assert [row.split()[0] for row in rows(page)] == ["bob"]
    assert "1 user<" in page.text
    page = await alice.get("/admin/users", params={"q": "<script>"})
    assert not rows(page)
    assert "No user has that name." in page.text
    assert 'value="&lt;script&gt;"' in page.text


async def test_many_users_come_by_the_page(alice: httpx.AsyncClient, service: Running) -> None:
    await asyncio.gather(*(service.state["accounts"].create(f"user{number:03}", None) for number in range(120)))
    seen: list[str] = []
    path: str | None = "/admin/users?q=user"
    while path is not None:
        page = await alice.get(path)
        assert "120 users" in page.text
        seen += [row.split()[0] for row in rows(page)]
        path = next_page(page)
    assert seen == [f"user{number:03}" for number in range(120)]


@pytest.mark.parametrize("path", ["/admin/users", "/admin/audit"])
async def test_only_administrators_see_it(bob: httpx.AsyncClient, client: httpx.AsyncClient, path: str) -> None:
    page = await bob.get(path)
    assert page.status_code == 403
    assert "Only administrators can do this." in page.text
    assert (await bob.get(path, headers={"Accept": "application/json"})).json()["status"] == 403
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?next={path}")


async def test_only_administrators_change_anything(
    bob: httpx.AsyncClient, client: httpx.AsyncClient, service: Running, cast: Cast
) -> None:
    for action in ("disable", "enable", "end-sessions", "make-admin", "remove-admin"):
        assert (await act(bob, cast.alice.id, action)).status_code == 403
        assert (await act(bob, cast.bob.id, action)).status_code == 403
        assert (await act(client, cast.alice.id, action)).headers["location"] == "/sign-in"
    assert (await bob.post("/admin/invitations", data={"days": "7"}, follow_redirects=True)).status_code == 403
    assert await service.state["accounts"].by_id(cast.alice.id) == cast.alice
    assert await service.state["accounts"].by_id(cast.bob.id) == cast.bob


async def test_who_is_disabled_is_out_at_once_on_every_worker_and_cannot_come_back(
    alice: httpx.AsyncClient, elsewhere: Running, cast: Cast
) -> None:
    phone = await signed_in(elsewhere, "bob")
    secret = (await phone.post("/api/account/tokens", json={"name": "backup"})).json()["token"]
    program = elsewhere.another_client(headers={"Authorization": f"Bearer {secret}"})
    assert [await status(phone), await status(program)] == [200, 200]
    answer = await act(alice, cast.bob.id, "disable")
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/users")
    await until_thrown_out(phone)
    await until_thrown_out(program)
    answer = await phone.get("/account")
    assert answer.status_code == 303
    again = await elsewhere.another_client().post("/api/session", json={"username": "bob", "password": PASSWORD})
    assert again.status_code == 401


async def test_who_is_enabled_signs_in_again_but_no_old_session_lives(
    alice: httpx.AsyncClient, service: Running, elsewhere: Running, cast: Cast
) -> None:
    phone = await signed_in(elsewhere, "bob")
    await act(alice, cast.bob.id, "disable")
    await act(alice, cast.bob.id, "enable")
    await until_thrown_out(phone)
    assert await status(await signed_in(service, "bob")) == 200


async def test_all_of_a_users_sessions_are_ended(alice: httpx.AsyncClient, elsewhere: Running, cast: Cast) -> None:
    phone, laptop = await signed_in(elsewhere, "bob"), await signed_in(elsewhere, "bob")
    await act(alice, cast.bob.id, "end-sessions")
    await until_thrown_out(phone)
    await until_thrown_out(laptop)
    assert await status(alice) == 200
    assert await status(await signed_in(elsewhere, "bob")) == 200


async def test_an_administrator_is_made_and_unmade(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, cast: Cast
) -> None:
    for action, allowed in (("make-admin", 200), ("remove-admin", 403)):
        await act(alice, cast.bob.id, action)

        async def answered(expected: int = allowed) -> bool:
            return (await bob.get("/admin/users")).status_code == expected

        await until(answered)


@pytest.mark.parametrize("action", ["remove-admin", "disable"])
async def test_the_last_administrator_stays(alice: httpx.AsyncClient, cast: Cast, action: str) -> None:
    page = await act(alice, cast.alice.id, action)
    assert page.status_code == 409
    assert "This is the last administrator." in page.text
    assert (await alice.get("/admin/users")).status_code == 200


async def test_of_two_administrators_who_remove_each_other_one_stays(
    alice: httpx.AsyncClient, elsewhere: Running, service: Running, cast: Cast
) -> None:
    await service.state["accounts"].set_admin(cast.bob.id, True)
    bob = await signed_in(elsewhere, "bob")
    answers = await asyncio.gather(act(alice, cast.bob.id, "remove-admin"), act(bob, cast.alice.id, "remove-admin"))
    left = [await service.state["accounts"].by_id(user.id) for user in (cast.alice, cast.bob)]
    assert [user.is_admin for user in left].count(True) == 1
    assert 303 in {answer.status_code for answer in answers}


async def test_what_there_is_not_is_refused(alice: httpx.AsyncClient, cast: Cast) -> None:
    assert (await act(alice, "nobody", "disable")).status_code == 404
    assert (await act(alice, "%00", "disable")).status_code == 404
    for action in ("", "delete", "DISABLE"):
        answer = await alice.post(
            f"/admin/users/{cast.bob.id}", data={"action": action}, headers={"Accept": "application/json"}
        )
        assert (answer.status_code, answer.json()["field"]) == (400, "action")
    assert (await alice.get("/admin/users/nobody")).status_code == 404


@pytest.mark.parametrize("query", ["after=%00", "after=%ff%fe", "q=%00", "q=%ed%a0%80", "q=" + "x" * 3000, "after=zzz"])
async def test_an_odd_search_finds_what_it_finds(alice: httpx.AsyncClient, query: str) -> None:
    assert (await alice.get(f"/admin/users?{query}")).status_code == 200


@pytest.mark.parametrize("days", ["1", "7", "30"])
async def test_an_invitations_link_leads_here_and_is_shown_once(start: Start, days: str) -> None:
    async with start(registration="invitation") as service:
        await make_cast(service)
        alice = await signed_in(service, "alice")
        page = await alice.post("/admin/invitations", data={"days": days}, follow_redirects=True)
        assert page.status_code == 200
        link = urlsplit(shown_secret(page))
        assert (link.scheme, link.netloc, link.path) == ("http", "tallygate.test", "/sign-up")
        assert link.query not in (await alice.get("/admin/users")).text
        assert (await service.another_client().get(f"/sign-up?{link.query}")).status_code == 200


@pytest.mark.parametrize("days", ["", "0", "2", "-1", "365"])
async def test_an_invitation_for_other_days_than_offered_is_refused(alice: httpx.AsyncClient, days: str) -> None:
    answer = await alice.post("/admin/invitations", data={"days": days}, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["field"]) == (400, "days")


async def test_invitations_are_limited(alice: httpx.AsyncClient, cast: Cast, service: Running) -> None:
    for _ in range(50):
        assert not await service.state["limits"].inviting(cast.alice.id)
    answer = await alice.post("/admin/invitations", data={"days": "7"}, follow_redirects=True)
    assert answer.status_code == 429


@pytest.mark.parametrize("host", ["evil.example", "evil.example/x", "evil.example, tallygate.test", ""])
async def test_no_host_but_an_allowed_one_gets_into_an_invitations_link(start: Start, host: str) -> None:
    async with start(allowed_hosts="tallygate.test") as service:
        await make_cast(service)
        alice = await signed_in(service, "alice")
        for headers in ({"Host": host}, {"X-Forwarded-Host": host}, {"Forwarded": f"host={host}"}):
            answer = await alice.post("/admin/invitations", data={"days": "7"}, headers=headers)
            assert answer.status_code == (400 if "Host" in headers else 303)
            assert "evil.example" not in answer.headers.get("location", "") + answer.text
            if "Host" not in headers:
                assert shown_secret(await alice.get(answer.headers["location"])).startswith("http://tallygate.test/")


@pytest.mark.parametrize(("registration", "offered"), [("closed", False), ("invitation", True), ("open", True)])
async def test_nobody_is_invited_where_the_link_would_lead_nowhere(
    start: Start, registration: str, offered: bool
) -> None:
    async with start(registration=registration) as service:
        await make_cast(service)
        page = await (await signed_in(service, "alice")).get("/admin/users")
        assert ("Create the link" in page.text) is offered
        assert ("Signing up is closed: nobody can be invited" in page.text) is not offered
