"""The administration of users: who may, and what it does to them, everywhere at once."""

import asyncio
from urllib.parse import urlsplit

import httpx
import pytest

from tests.accounts.conftest import Start
from tests.accounts.pages.reading import next_page, rows, shown_secret, status, until_thrown_out
from tests.helpers.cast import PASSWORD, Cast, make_cast, signed_in
from tests.helpers.service import Running
from tests.helpers.waiting import eventually


async def act(client: httpx.AsyncClient, user_id: str, action: str) -> httpx.Response:
    return await client.post(f"/admin/users/{user_id}", data={"action": action})


async def test_users_are_listed_with_role_and_state(alice: httpx.AsyncClient, cast: Cast) -> None:
    await act(alice, cast.charlie.id, "disable")
    page = await alice.get("/admin/users")
    assert page.status_code == 200
    shown = rows(page)
    assert [row.split()[0] for row in shown] == ["alice", "bob", "charlie"]
    assert "You Administrator" in shown[0]
    assert "Administrator" not in shown[1]
    assert "never" in shown[1]
    assert shown[0].endswith("Password")
    assert "Disabled" in shown[2]
    assert "3 users" in page.text


async def test_users_are_searched_by_any_part_of_names_and_addresses(
    alice: httpx.AsyncClient, service: Running, cast: Cast
) -> None:
    await service.state["users"].set_email(cast.charlie.id, "Chaplin@example.com", verified=False)
    await service.state["users"].set_display_name(cast.bob.id, "Robert Ross")
    for query, found in (("ＯB", ["bob"]), ("ross", ["bob"]), ("PLIN@", ["charlie"]), ("li", ["alice", "charlie"])):
        page = await alice.get("/admin/users", params={"q": query})
        assert [row.split()[0] for row in rows(page)] == found
    assert "2 users<" in page.text
    page = await alice.get("/admin/users", params={"q": "<script>"})
    assert not rows(page)
    assert "No user matches." in page.text
    assert 'value="&lt;script&gt;"' in page.text


async def test_users_are_filtered(alice: httpx.AsyncClient, service: Running, cast: Cast) -> None:
    await signed_in(service, "charlie")
    await service.state["accounts"].set_disabled(cast.charlie.id, True)
    await service.state["users"].set_groups(cast.bob.id, ("ops",))
    for name, value, found in (
        ("role", "admin", ["alice"]),
        ("role", "user", ["bob", "charlie"]),
        ("disabled", "true", ["charlie"]),
        ("disabled", "false", ["alice", "bob"]),
        ("group", "ops", ["bob"]),
        ("group", "nobodys", []),
        ("never_signed_in", "true", ["bob"]),
    ):
        page = await alice.get("/admin/users", params={name: value})
        assert [row.split()[0] for row in rows(page)] == found, (name, value)
        told = (await alice.get("/api/users", params={name: value})).json()
        assert [each["name"] for each in told["users"]] == found
        assert told["total"] == len(found)
    for name in ("role", "disabled", "never_signed_in"):
        assert (await alice.get("/api/users", params={name: "perhaps"})).json()["field"] == name


async def test_many_users_come_by_the_page(alice: httpx.AsyncClient, service: Running) -> None:
    await asyncio.gather(*(service.state["accounts"].create(f"user{number:03}", None) for number in range(120)))
    page = await alice.get("/admin/users?q=user")
    assert "120 users" in page.text
    seen = [row.split()[0] for row in rows(page)]
    while (path := next_page(page)) is not None:
        page = await alice.get(path)
        seen += [row.split()[0] for row in rows(page)]
    assert seen == [f"user{number:03}" for number in range(120)]


async def test_many_users_are_changed_after_one_question(
    alice: httpx.AsyncClient, service: Running, cast: Cast
) -> None:
    ids = [cast.bob.id, cast.charlie.id, cast.alice.id]
    query = {"user": ids, "action": "join", "group": "ops", "next": "/admin/users?q=b"}
    question = await alice.get("/admin/users/bulk", params=query)
    assert "Add these accounts to the group ops?" in question.text
    assert await service.state["users"].groups() == ()
    form = {"users": " ".join(ids), "action": "join", "group": "ops", "next": "/admin/users?q=b"}
    answer = await alice.post("/admin/users/bulk", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/users?q=b")
    assert await service.state["users"].members("ops") == sorted(ids)
    page = await alice.post("/admin/users/bulk", data=form | {"action": "disable"}, follow_redirects=True)
    assert "some accounts stay as they are" in page.text
    users = [await service.state["accounts"].by_id(user_id) for user_id in ids]
    assert [user.disabled for user in users] == [True, True, False]


async def test_the_same_change_of_many_users_by_the_api(alice: httpx.AsyncClient, service: Running, cast: Cast) -> None:
    body = {"users": [cast.bob.id, cast.alice.id, "nobody"], "disabled": True, "join": "ops"}
    answer = await alice.patch("/api/users", json=body)
    assert (answer.status_code, answer.json()) == (200, {"unchanged": [cast.alice.id, "nobody"]})
    assert (await service.state["accounts"].by_id(cast.bob.id)).disabled
    for wrong, field in (({"users": []}, "users"), ({"users": [cast.bob.id], "join": "a,b"}, "join")):
        assert (await alice.patch("/api/users", json=wrong)).json()["field"] == field


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"users": ""}, "users"), ({"users": "x", "action": "delete"}, "action"),
     ({"users": "x", "action": "join", "group": "a b"}, "group")],
)  # fmt: skip
async def test_bad_fields_of_a_change_of_many_users_are_named(
    alice: httpx.AsyncClient, fields: dict[str, str], field: str
) -> None:
    answer = await alice.post("/admin/users/bulk", data=fields, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["field"]) == (400, field)


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


async def test_disabled_user_is_signed_out_on_every_worker(
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


async def test_enabled_user_signs_in_anew(
    alice: httpx.AsyncClient, service: Running, elsewhere: Running, cast: Cast
) -> None:
    phone = await signed_in(elsewhere, "bob")
    await act(alice, cast.bob.id, "disable")
    await act(alice, cast.bob.id, "enable")
    await until_thrown_out(phone)
    assert await status(await signed_in(service, "bob")) == 200


async def test_administrator_ends_all_sessions_of_a_user(
    alice: httpx.AsyncClient, elsewhere: Running, cast: Cast
) -> None:
    phone, laptop = await signed_in(elsewhere, "bob"), await signed_in(elsewhere, "bob")
    await act(alice, cast.bob.id, "end-sessions")
    await until_thrown_out(phone)
    await until_thrown_out(laptop)
    assert await status(alice) == 200
    assert await status(await signed_in(elsewhere, "bob")) == 200


async def test_administrator_role_is_granted_and_taken(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, cast: Cast
) -> None:
    for action, allowed in (("make-admin", 200), ("remove-admin", 403)):
        await act(alice, cast.bob.id, action)

        async def answered(expected: int = allowed) -> bool:
            return (await bob.get("/admin/users")).status_code == expected

        await eventually(answered)


@pytest.mark.parametrize("action", ["remove-admin", "disable"])
async def test_last_administrator_cannot_be_removed(alice: httpx.AsyncClient, cast: Cast, action: str) -> None:
    page = await act(alice, cast.alice.id, action)
    assert page.status_code == 409
    assert "This is the last administrator." in page.text
    assert (await alice.get("/admin/users")).status_code == 200


async def test_concurrent_removals_leave_one_administrator(
    alice: httpx.AsyncClient, elsewhere: Running, service: Running, cast: Cast
) -> None:
    await service.state["accounts"].set_admin(cast.bob.id, True)
    bob = await signed_in(elsewhere, "bob")
    answers = await asyncio.gather(act(alice, cast.bob.id, "remove-admin"), act(bob, cast.alice.id, "remove-admin"))
    left = [await service.state["accounts"].by_id(user.id) for user in (cast.alice, cast.bob)]
    assert [user.is_admin for user in left].count(True) == 1
    assert 303 in {answer.status_code for answer in answers}


async def test_unknown_user_or_action_is_refused(alice: httpx.AsyncClient, cast: Cast) -> None:
    assert (await act(alice, "nobody", "disable")).status_code == 404
    assert (await act(alice, "%00", "disable")).status_code == 404
    for action in ("", "delete", "DISABLE"):
        answer = await alice.post(
            f"/admin/users/{cast.bob.id}", data={"action": action}, headers={"Accept": "application/json"}
        )
        assert (answer.status_code, answer.json()["field"]) == (400, "action")
    assert (await alice.get("/admin/users/nobody")).status_code == 404


@pytest.mark.parametrize("query", ["after=%00", "after=%ff%fe", "q=%00", "q=%ed%a0%80", "q=" + "x" * 3000, "after=zzz"])
async def test_malformed_search_is_answered(alice: httpx.AsyncClient, query: str) -> None:
    assert (await alice.get(f"/admin/users?{query}")).status_code == 200


@pytest.mark.parametrize("days", ["1", "7", "30"])
async def test_invitation_link_is_shown_once(start: Start, days: str) -> None:
    async with start(registration="invitation") as service:
        await make_cast(service)
        alice = await signed_in(service, "alice")
        page = await alice.post("/admin/invitations", data={"days": days}, follow_redirects=True)
        assert page.status_code == 200
        link = urlsplit(shown_secret(page))
        assert (link.scheme, link.netloc, link.path) == ("http", "tallygate.test", "/sign-up")
        assert link.query not in (await alice.get("/admin/invitations")).text
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
async def test_invitation_link_has_an_allowed_host(start: Start, host: str) -> None:
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
async def test_invitations_need_open_sign_up_or_invitations(start: Start, registration: str, offered: bool) -> None:
    async with start(registration=registration) as service:
        await make_cast(service)
        alice = await signed_in(service, "alice")
        page = await alice.get("/admin/invitations")
        assert ("Create the link" in page.text) is offered
        assert ("Sign-up is closed. To invite people, set registration to invitation." in page.text) is not offered
        assert ("Sign-up is closed at first." in (await alice.get("/welcome")).text) is not offered
