"""Who gets an account by signing in elsewhere, and who users are elsewhere."""

import asyncio
import re
import time
from collections.abc import Callable

import pytest

from app.audit.log import Event
from app.settings import Settings
from tests.fakes.openid import FakeOpenId
from tests.helpers.cast import PASSWORD, Cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.oauth_flow import OAuthFlow, identity_ids, link
from tests.helpers.service import Running, running
from tests.oauth_client.conftest import Start, corp
from tests.sessions.real_flask import RealFlask


async def name_of(flow: OAuthFlow) -> str | None:
    user = await flow.user()
    return user["name"] if user is not None else None


async def test_second_sign_in_finds_the_user_by_subject(
    flow: OAuthFlow, provider: FakeOpenId, service: Running
) -> None:
    provider.user = {"sub": "1", "preferred_username": "alice", "email": "a@x.example", "email_verified": True}
    await flow.sign_in()
    first = await flow.user()
    provider.user = {"sub": "1", "preferred_username": "mallory", "email": "m@x.example", "email_verified": True}
    another = OAuthFlow(service.another_client())
    await another.sign_in()
    assert await another.user() == first


async def test_another_subject_with_the_same_address_is_another_user(
    flow: OAuthFlow, provider: FakeOpenId, service: Running
) -> None:
    provider.user = {"sub": "1", "preferred_username": "alice", "email": "a@x.example", "email_verified": True}
    await flow.sign_in()
    provider.user["sub"] = "2"
    another = OAuthFlow(service.another_client())
    await another.sign_in()
    first, second = await flow.user(), await another.user()
    assert first is not None
    assert second is not None
    assert first["id"] != second["id"]
    assert second["name"] == "a"


async def test_equal_address_or_name_does_not_link_accounts(flow: OAuthFlow, provider: FakeOpenId, cast: Cast) -> None:
    provider.user = {"sub": "1", "preferred_username": "Bob", "email": "bob@x.example", "email_verified": True}
    await flow.sign_in()
    user = await flow.user()
    assert user is not None
    assert user["id"] != cast.bob.id
    assert user["name"] == "Bob-2"


NAMES = {
    "alice": "alice",
    "Alice Liddell": "Alice-Liddell",
    "a/b:c": "a-b-c",
    "张三": "张三",
    "x" * 200: "x" * 64,
}


@pytest.mark.parametrize("name", NAMES)
async def test_provider_name_becomes_a_valid_username(name: str, flow: OAuthFlow, provider: FakeOpenId) -> None:
    provider.user["preferred_username"] = name
    await flow.sign_in()
    assert await name_of(flow) == NAMES[name]


@pytest.mark.parametrize("name", ["", " ", "\u200b", "//", 5, None])
async def test_missing_name_is_generated(name: object, flow: OAuthFlow, provider: FakeOpenId) -> None:
    provider.user["preferred_username"] = name
    await flow.sign_in()
    assert re.fullmatch(r"user-[0-9a-f]{8}", await name_of(flow) or "")


@pytest.mark.slow
async def test_twenty_users_of_one_name_get_different_usernames(provider: FakeOpenId, service: Running) -> None:
    walks = []
    for number in range(20):
        provider.user = {"sub": str(number), "preferred_username": "alice"}
        walks.append(OAuthFlow(service.another_client(client=(f"192.0.2.{number}", 1))))
        await walks[-1].sign_in()
    names = [await name_of(flow) for flow in walks]
    assert names[:9] == ["alice", *(f"alice-{number}" for number in range(2, 10))]
    assert len(set(names)) == 20


async def test_concurrent_first_sign_ins_create_one_user(
    flow: OAuthFlow, provider: FakeOpenId, service: Running, users: Callable[[], int]
) -> None:
    another = OAuthFlow(service.another_client())
    callbacks = [await one.authorize(await one.start()) for one in (flow, another)]
    await asyncio.gather(flow.callback(callbacks[0]), another.callback(callbacks[1]))
    assert await flow.user() == await another.user() is not None
    assert users() == 3  # a user, an identity, and the list of the user's identities


async def test_a_disabled_user_is_refused(flow: OAuthFlow, provider: FakeOpenId, service: Running) -> None:
    await flow.sign_in()
    user = await flow.user()
    assert user is not None
    await service.state["accounts"].set_disabled(user["id"], True)
    answer = await flow.sign_in()
    assert answer.status_code == 403
    assert await flow.user() is None


async def test_invitation_is_used_once(start: Start, provider: FakeOpenId) -> None:
    async with start(allow="invited") as service:
        secret = await service.state["invitations"].create("somebody", 3600)
        page = await service.client.get(f"/sign-up?invitation={secret}")
        assert f"/oauth/corp/start?next=/&amp;invitation={secret}" in page.text
        flow, another = OAuthFlow(service.client), OAuthFlow(service.another_client())
        assert (await flow.sign_in(invitation=secret)).status_code == 303
        assert await flow.user() is not None
        provider.user = {"sub": "another"}
        answer = await another.sign_in(invitation=secret)
        assert answer.status_code == 403
        assert await another.user() is None
        again = OAuthFlow(service.another_client())
        provider.user = {"sub": "248289761001"}
        assert (await again.sign_in()).status_code == 303


async def test_invitation_is_refused_if_sign_up_is_closed(start: Start, users: Callable[[], int]) -> None:
    async with start(allow="invited") as service:
        secret = await service.state["invitations"].create("somebody", 3600)
    async with start(allow="invited", registration="closed") as service:
        flow = OAuthFlow(service.client)
        assert (await flow.sign_in(invitation=secret)).status_code == 403
        assert await flow.user() is None
        assert users() == 0


async def test_linked_identity_signs_in(bob: OAuthFlow, flow: OAuthFlow, cast: Cast, service: Running) -> None:
    assert (await link(bob)).headers["location"] == "/account"
    assert len(await identity_ids(bob)) == 1
    await flow.sign_in()
    assert await name_of(flow) == "bob"
    events = [entry.event for entry in (await service.state["audit"].page()).entries if entry.user == cast.bob.id]
    assert Event.IDENTITY_LINKED in events


async def test_linked_identity_survives_a_rename(bob: OAuthFlow, flow: OAuthFlow) -> None:
    await link(bob)
    assert (await bob.browser.post("/account/name", data={"username": "robert"})).status_code == 303
    await flow.sign_in()
    assert await name_of(flow) == await name_of(bob) == "robert"


async def test_identity_belongs_to_one_user(bob: OAuthFlow, service: Running, users: Callable[[], int]) -> None:
    await link(bob)
    charlie = OAuthFlow(await signed_in(service, "charlie", headers={"Accept": "text/html"}))
    assert (await link(charlie)).status_code == 409
    assert await identity_ids(charlie) == []
    assert await name_of(charlie) == "charlie"


async def test_linking_needs_a_fresh_sign_in(bob: OAuthFlow, clock: Clock) -> None:
    clock.move(601)
    answer = await bob.browser.post("/account/identities/corp")
    assert answer.status_code == 401
    assert "Confirm it's you" in answer.text
    again = await bob.browser.post("/sign-in", data={"username": "bob", "password": PASSWORD, "next": "/account"})
    assert again.headers["location"] == "/account"
    assert (await link(bob)).status_code == 303


async def test_linking_needs_a_signed_in_user(flow: OAuthFlow) -> None:
    answer = await flow.browser.post("/account/identities/corp")
    assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/sign-in")


async def test_cross_site_linking_is_refused(bob: OAuthFlow) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert (await bob.browser.post("/account/identities/corp", headers=headers)).status_code == 403
    assert (await bob.browser.get("/account/identities/corp")).status_code == 405


async def test_sign_out_during_linking_links_nothing(bob: OAuthFlow, users: Callable[[], int]) -> None:
    before = users()
    page = await bob.browser.post("/account/identities/corp", headers={"Accept": "application/json"})
    callback = await bob.authorize(page.json()["url"])
    await bob.browser.post("/sign-out")
    assert (await bob.callback(callback)).status_code == 400
    assert users() == before


async def test_unlinked_identity_does_not_sign_in(bob: OAuthFlow, flow: OAuthFlow) -> None:
    await link(bob)
    (identity,) = await identity_ids(bob)
    assert (await bob.browser.post("/account/identities/unlink", data={"id": identity})).status_code == 303
    assert await identity_ids(bob) == []
    await flow.sign_in()
    assert await name_of(flow) != "bob"
    assert (await bob.browser.post("/account/identities/unlink", data={"id": identity})).status_code == 404


async def test_identity_of_another_user_cannot_be_unlinked(bob: OAuthFlow, service: Running) -> None:
    await link(bob)
    (identity,) = await identity_ids(bob)
    charlie = await signed_in(service, "charlie")
    assert (await charlie.post("/account/identities/unlink", data={"id": identity})).status_code == 404
    assert await identity_ids(bob) == [identity]


async def test_the_last_way_in_stays(flow: OAuthFlow) -> None:
    await flow.sign_in()
    (identity,) = await identity_ids(flow)
    assert (await flow.browser.post("/account/identities/unlink", data={"id": identity})).status_code == 409
    await flow.browser.post("/account/password", data={"current": "", "new": PASSWORD})
    assert (await flow.browser.post("/account/identities/unlink", data={"id": identity})).status_code == 303
    assert await identity_ids(flow) == []


async def test_unlinking_needs_a_fresh_sign_in(bob: OAuthFlow, clock: Clock) -> None:
    await link(bob)
    (identity,) = await identity_ids(bob)
    clock.move(601)
    answer = await bob.browser.post("/account/identities/unlink", data={"id": identity})
    assert answer.status_code == 401
    assert await identity_ids(bob) == [identity]


async def test_empty_password_does_not_sign_in_a_user_without_one(flow: OAuthFlow) -> None:
    await flow.sign_in()
    name = await name_of(flow)
    answer = await flow.browser.post("/sign-in", data={"username": name, "password": "", "next": "/"})
    assert answer.status_code == 401


async def test_legacy_cookie_does_not_sign_in_a_provisioned_account(
    make_settings: Callable[..., Settings], provider: FakeOpenId
) -> None:
    provider.user["preferred_username"] = "carol"
    provider.now = time.time
    async with running(make_settings(oauth={"corp": corp(provider)}, legacy_flask_secret="old key")) as service:
        flow = OAuthFlow(service.another_client())
        await flow.sign_in()
        user = await flow.user()
        assert user is not None
        assert user["name"] == "carol"
        cookie = RealFlask("old key").cookie({"user": "carol"})
        assert (await service.another_client(cookies={"session": cookie}).get("/api/session")).status_code == 401
