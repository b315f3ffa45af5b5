"""Unlinking an identity ends the sessions that it began."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.accounts.users.identities import Identity
from app.audit.log import Event
from app.settings import Settings
from app.store.client import StoreUnavailable
from tests.accounts.pages.reading import message, same_browser, status, until_thrown_out
from tests.fakes.openid import FakeOpenId
from tests.helpers.cast import Cast, make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.oauth_flow import OAuthFlow, identity_ids, link
from tests.helpers.service import Running, running

ENDED = "The account has been unlinked, and other sessions that used it have been ended."


async def unlink(flow: OAuthFlow, identity: str) -> httpx.Response:
    return await flow.browser.post("/account/identities/unlink", data={"id": identity})


async def noted(service: Running, user_id: str) -> list[tuple[str, str]]:
    """What the audit log says happened to a user, the last first."""
    page = await service.state["audit"].page()
    return [(entry.event, entry.detail) for entry in page.entries if entry.user == user_id]


async def away(*_: object) -> None:
    raise StoreUnavailable("gone", sent=True)


async def test_unlinking_ends_its_sessions_on_every_worker(
    bob: OAuthFlow,
    flow: OAuthFlow,
    cast: Cast,
    service: Running,
    make_settings: Callable[..., Settings],
    tables: Any,
    clock: Clock,
) -> None:
    await link(bob)
    (identity,) = await identity_ids(bob)
    phone = OAuthFlow(service.another_client())
    for one in (flow, phone):
        await one.sign_in()
    async with running(make_settings(oauth=tables), clock) as elsewhere:
        there = same_browser(flow.browser, elsewhere)
        assert await status(there) == 200
        assert (await unlink(bob, identity)).headers["location"] == "/account"
        await until_thrown_out(there)
    assert await flow.user() is await phone.user() is None
    assert await bob.user() is not None
    assert message(await bob.browser.get("/account")) == ENDED
    assert (await noted(service, cast.bob.id))[:2] == [
        (Event.SESSION_ENDED, "2 others"),
        (Event.IDENTITY_UNLINKED, ""),
    ]


async def test_unlinking_spares_other_sessions(
    bob: OAuthFlow, flow: OAuthFlow, provider: FakeOpenId, cast: Cast, service: Running
) -> None:
    await link(bob)
    (identity,) = await identity_ids(bob)
    provider.user = {"sub": "another"}
    await link(bob)
    await flow.sign_in()
    by_password = OAuthFlow(await signed_in(service, "bob"))
    stranger = OAuthFlow(service.another_client())
    provider.user = {"sub": "a stranger"}
    await stranger.sign_in()
    await unlink(bob, identity)
    for one in (bob, flow, by_password, stranger):
        assert await one.user() is not None
    assert message(await bob.browser.get("/account")) == "The account has been unlinked."
    assert (await noted(service, cast.bob.id))[0] == (Event.IDENTITY_UNLINKED, "")


async def test_unlinking_spares_the_current_session(bob: OAuthFlow, flow: OAuthFlow, service: Running) -> None:
    await link(bob)
    (identity,) = await identity_ids(bob)
    phone = OAuthFlow(service.another_client())
    for one in (flow, phone):
        await one.sign_in()
    await unlink(flow, identity)
    assert await flow.user() is not None
    assert await phone.user() is None
    assert await bob.user() is not None


@pytest.mark.parametrize("repetition", [False, True])
async def test_sign_in_during_unlinking_does_not_survive(
    bob: OAuthFlow, flow: OAuthFlow, cast: Cast, service: Running, monkeypatch: pytest.MonkeyPatch, repetition: bool
) -> None:
    """Between the beginning of the session and the note of where it comes from. A repetition begins another one."""
    await link(bob)
    (identity,) = await identity_ids(bob)
    keep, kept = service.state["provider_sessions"].keep, []

    async def unlinked_meanwhile(*facts: Any) -> None:
        kept.append(facts)
        if len(kept) == 1 + repetition:
            assert (await unlink(bob, identity)).status_code == 303
        await keep(*facts)

    monkeypatch.setattr(service.state["provider_sessions"], "keep", unlinked_meanwhile)
    callback = await flow.authorize(await flow.start())
    answers = await asyncio.gather(*(flow.callback(callback) for _ in range(1 + repetition)))
    assert 403 in {answer.status_code for answer in answers}
    assert await flow.user() is None
    assert [session.auth_method for session in await service.state["sessions"].of_user(cast.bob.id)] == ["password"]


async def test_unlinking_interrupted_by_redis_succeeds_when_repeated(
    bob: OAuthFlow, flow: OAuthFlow, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await link(bob)
    (identity,) = await identity_ids(bob)
    await flow.sign_in()
    with monkeypatch.context() as patched:
        patched.setattr(service.state["sessions"], "end_these", away)
        assert (await unlink(bob, identity)).status_code == 503
    assert await flow.user() is not None
    assert (await unlink(bob, identity)).status_code == 303
    assert await flow.user() is None
    assert message(await bob.browser.get("/account")) == ENDED
    assert (await unlink(bob, identity)).status_code == 404


async def test_sign_in_fails_if_its_origin_cannot_be_stored(
    bob: OAuthFlow, flow: OAuthFlow, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unlinking would not find their session."""
    await link(bob)
    with monkeypatch.context() as patched:
        patched.setattr(service.state["provider_sessions"], "keep", away)
        assert (await flow.sign_in()).status_code == 503
    assert await flow.user() is None
    assert (await flow.sign_in()).status_code == 303
    assert await flow.user() is not None


async def test_cookie_sessions_are_not_listed_as_ended(
    make_settings: Callable[..., Settings], tables: Any, clock: Clock
) -> None:
    async with running(make_settings(oauth=tables, session_store="cookie"), clock) as service:
        await make_cast(service)
        bob = OAuthFlow(await signed_in(service, "bob", headers={"Accept": "text/html"}))
        await link(bob)
        (identity,) = await identity_ids(bob)
        await unlink(bob, identity)
        page = await bob.browser.get("/account")
        assert message(page) == "The account has been unlinked."
        assert await identity_ids(bob) == []


@pytest.fixture
async def joined(flow: OAuthFlow) -> str:
    """The id of the user who came in by the provider, without a password."""
    await flow.sign_in()
    user = await flow.user()
    assert user is not None
    return str(user["id"])


async def test_identity_of_a_removed_provider_is_no_way_in(flow: OAuthFlow, service: Running, joined: str) -> None:
    (works,) = await identity_ids(flow)
    removed = Identity("https://removed.example", "1", "removed")
    moved = Identity("https://before.example", "1", "corp")
    for identity in (removed, moved):
        await service.state["identities"].link(joined, identity)
    assert (await unlink(flow, works)).status_code == 409
    for identity in (removed, moved):
        assert (await unlink(flow, identity.id)).status_code == 303
    assert (await unlink(flow, works)).status_code == 409
    assert await identity_ids(flow) == [works]


async def test_renamed_provider_is_still_a_way_in(
    flow: OAuthFlow, service: Running, provider: FakeOpenId, joined: str
) -> None:
    (first,) = await identity_ids(flow)
    await service.state["identities"].link(joined, Identity(provider.issuer, "another", "former-name"))
    assert (await unlink(flow, first)).status_code == 303


async def test_concurrent_unlinking_leaves_one_identity(
    flow: OAuthFlow, service: Running, provider: FakeOpenId
) -> None:
    await flow.sign_in()
    provider.user = {"sub": "another"}
    await link(flow)
    both = await identity_ids(flow)
    answers = await asyncio.gather(*(unlink(flow, identity) for identity in both))
    assert sorted(answer.status_code for answer in answers) == [303, 409]
    assert len(await identity_ids(flow)) == 1
