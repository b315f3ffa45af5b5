"""Staying fresh with a provider that is away, lies or says no, and with workers that die."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import HTMLResponse, JSONResponse, Response

from app.settings import Settings
from tests.fakes.noted import GONE
from tests.fakes.openid import OTHER_RSA, FakeOpenId
from tests.helpers.clock import Clock
from tests.helpers.oauth_flow import OAuthFlow
from tests.helpers.service import Running, running
from tests.helpers.valkey import Valkey
from tests.oauth_client.refresh.conftest import held, refreshes, so


@pytest.mark.parametrize(
    "answer",
    [
        lambda: JSONResponse({}, 500),
        lambda: JSONResponse({"error": "temporarily_unavailable"}, 400),
        lambda: JSONResponse({"error": "invalid_client"}, 401),
        lambda: HTMLResponse("<h1>We will be back</h1>"),
        lambda: Response(b"{", media_type="application/json"),
        lambda: JSONResponse({"token_type": "bearer"}),
    ],
)
async def test_unavailable_provider_is_retried_after_a_minute(
    answer: Callable[[], Response], inside: OAuthFlow, provider: FakeOpenId, clock: Clock
) -> None:
    provider.instead["/token"] = answer
    for seconds in (0, 59):
        clock.move(seconds)
        assert await inside.user() is not None
    assert len(refreshes(provider)) == 1
    provider.instead.clear()
    clock.move(1)
    assert await inside.user() is not None
    assert provider.refresh_tokens is not None
    assert refreshes(provider) == [provider.refresh_tokens[0]] * 2


async def test_refresh_accepts_a_new_id_token(inside: OAuthFlow, provider: FakeOpenId) -> None:
    provider.refreshed["id_token"] = provider.new_id_token()
    assert await inside.user() is not None


async def test_refreshed_id_token_of_another_subject_ends_the_session(inside: OAuthFlow, provider: FakeOpenId) -> None:
    provider.refreshed["id_token"] = provider.new_id_token(sub="somebody else")
    assert await inside.user() is None


async def test_unverifiable_refreshed_id_token_is_ignored(
    inside: OAuthFlow, provider: FakeOpenId, clock: Clock
) -> None:
    provider.sign_with = OTHER_RSA
    provider.refreshed["id_token"] = provider.new_id_token(sub="somebody else")
    assert await inside.user() is not None
    assert await inside.user() is not None
    assert len(refreshes(provider)) == 1


@pytest.mark.parametrize("lifetime", [None, 0, -5, "soon", True, 1e300, {}])
async def test_malformed_expires_in_counts_as_an_hour(
    lifetime: Any, flow: OAuthFlow, provider: FakeOpenId, clock: Clock
) -> None:
    provider.tokens["expires_in"] = lifetime
    await flow.sign_in()
    clock.move(3599)
    assert await flow.user() is not None
    assert refreshes(provider) == []
    clock.move(1)
    assert await flow.user() is not None
    assert len(refreshes(provider)) == 1


async def test_removed_provider_ends_its_sessions(
    inside: OAuthFlow, make_settings: Callable[..., Settings], clock: Clock
) -> None:
    async with running(make_settings(oauth={}), clock) as later:
        assert await OAuthFlow(later.another_client(cookies=inside.browser.cookies)).user() is None


async def test_session_whose_tokens_are_gone_ends(inside: OAuthFlow, server: Valkey) -> None:
    with server.client as client:
        client.delete(*client.scan_iter("session-origin:*"))
    assert await inside.user() is None


async def test_killed_worker_leaves_no_refresh_lock(
    inside: OAuthFlow,
    provider: FakeOpenId,
    server: Valkey,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    service: Running,
) -> None:
    monkeypatch.setattr(service.state["refresher"], "_patience", 0.1)
    with server.client as client:
        (session,) = client.scan_iter("session:*")
        client.set(f"oauth:refreshing:{session.decode().removeprefix('session:')}", "the dead worker", ex=30)
        assert await inside.user() is not None
        assert refreshes(provider) == []
        client.delete(*client.scan_iter("oauth:refreshing:*"))
    clock.move(60)
    assert await inside.user() is not None
    assert len(refreshes(provider)) == 1


async def test_sign_out_during_a_refresh_holds(inside: OAuthFlow, provider: FakeOpenId, server: Valkey) -> None:
    async with held(provider):
        asking = asyncio.create_task(inside.user())
        await so(lambda: refreshes(provider) != [])
        with server.client as client:  # another worker ends the session
            client.delete(*client.scan_iter("session*"))
    await asking
    assert await inside.user() is None
    with server.client as client:
        assert list(client.scan_iter("session*")) == []


@pytest.mark.parametrize("status", [200, 400, 401, 403, 500])
async def test_invalid_grant_ends_the_session_with_any_status(
    status: int, inside: OAuthFlow, provider: FakeOpenId
) -> None:
    provider.instead["/token"] = lambda: JSONResponse({"error": "invalid_grant"}, status)
    assert await inside.user() is None


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, "invalid_client"),
        (401, "invalid_client"),
        (403, "invalid_request"),
        (400, "unauthorized_client"),
        (403, ""),
    ],
)
async def test_another_error_ends_no_session(status: int, error: str, inside: OAuthFlow, provider: FakeOpenId) -> None:
    provider.instead["/token"] = lambda: JSONResponse({"error": error}, status)
    assert await inside.user() is not None


def unverifiable(provider: FakeOpenId) -> None:
    provider.sign_with = OTHER_RSA
    provider.refreshed["id_token"] = provider.new_id_token()


def no_keys(provider: FakeOpenId) -> None:
    unverifiable(provider)
    provider.instead["/jwks"] = lambda: JSONResponse({}, 503)


def expired(provider: FakeOpenId) -> None:
    provider.refreshed["id_token"] = provider.new_id_token(exp=5)


@pytest.mark.parametrize(
    "fault",
    [
        unverifiable,
        no_keys,
        expired,
        lambda provider: provider.refreshed.update(id_token=5),
        lambda provider: provider.refreshed.update(id_token="x.y.z"),
        lambda provider: provider.refreshed.update(token_type="odd"),
        lambda provider: provider.refreshed.update(access_token=GONE),
    ],
)
async def test_rotated_refresh_token_is_stored_despite_a_bad_response(
    fault: Callable[[FakeOpenId], object], inside: OAuthFlow, provider: FakeOpenId, clock: Clock
) -> None:
    fault(provider)
    assert await inside.user() is not None
    provider.refreshed, provider.sign_with = {}, None
    provider.instead.clear()
    clock.move(3601)
    assert await inside.user() is not None
    used = refreshes(provider)
    assert provider.refresh_tokens is not None
    assert used == provider.refresh_tokens[:2]


async def test_unavailable_provider_is_asked_by_one_session_a_minute(
    service: Running, provider: FakeOpenId, clock: Clock
) -> None:
    walks = [OAuthFlow(service.another_client()) for _ in range(4)]
    for number, flow in enumerate(walks):
        provider.user = {"sub": str(number)}
        await flow.sign_in()
    clock.move(301)
    provider.instead["/token"] = lambda: JSONResponse({}, 503)
    before = provider.count("/token")
    for flow in walks:
        assert await flow.user() is not None
    assert provider.count("/token") == before + 1
    clock.move(61)
    for flow in walks:
        assert await flow.user() is not None
    assert provider.count("/token") == before + 2


async def test_recovered_provider_is_asked_by_all_sessions(
    service: Running, provider: FakeOpenId, clock: Clock
) -> None:
    walks = [OAuthFlow(service.another_client()) for _ in range(3)]
    for flow in walks:
        await flow.sign_in()
    clock.move(301)
    provider.instead["/token"] = lambda: JSONResponse({}, 503)
    await walks[0].user()
    provider.instead.clear()
    clock.move(61)
    provider.instead["/token"] = lambda: JSONResponse({"access_token": "x", "token_type": "bearer"})
    before = len(refreshes(provider))
    await walks[1].user()
    await walks[2].user()
    assert len(refreshes(provider)) == before + 2
