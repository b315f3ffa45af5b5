"""Staying fresh: a session lasts for as long as its provider vouches for it."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse

from app.settings import Settings
from tests.fakes.openid import FakeOpenId
from tests.helpers.clock import Clock
from tests.helpers.oauth_flow import OAuthFlow
from tests.helpers.service import Running, running
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey
from tests.oauth_client.conftest import corp
from tests.oauth_client.refresh.conftest import LIFETIME, held, refreshes, so


async def test_expired_token_is_refreshed(flow: OAuthFlow, provider: FakeOpenId, clock: Clock) -> None:
    await flow.sign_in()
    clock.move(LIFETIME - 1)
    for _ in range(3):  # by now the worker knows the session without looking
        assert await flow.user() is not None
    assert refreshes(provider) == []
    clock.move(1)
    assert await flow.user() is not None
    assert len(refreshes(provider)) == 1


async def test_refresh_tokens_are_used_once_and_in_order(inside: OAuthFlow, provider: FakeOpenId, clock: Clock) -> None:
    assert await inside.user() is not None
    assert await inside.user() is not None
    clock.move(LIFETIME)
    assert await inside.user() is not None
    assert provider.refresh_tokens is not None
    assert refreshes(provider) == provider.refresh_tokens[:2]


async def test_refresh_token_without_rotation_stays_valid(
    inside: OAuthFlow, provider: FakeOpenId, clock: Clock
) -> None:
    provider.rotates = False
    assert await inside.user() is not None
    clock.move(LIFETIME)
    assert await inside.user() is not None
    assert provider.refresh_tokens is not None
    assert refreshes(provider) == provider.refresh_tokens * 2


async def test_concurrent_requests_share_one_refresh(inside: OAuthFlow, provider: FakeOpenId) -> None:
    async with held(provider):
        asking = [asyncio.create_task(inside.browser.get("/api/account")) for _ in range(20)]
        await so(lambda: refreshes(provider) != [])
        assert not any(task.done() for task in asking)
    assert [answer.status_code for answer in await asyncio.gather(*asking)] == [200] * 20
    assert len(refreshes(provider)) == 1


async def test_refresh_continues_after_its_caller_disconnects(inside: OAuthFlow, provider: FakeOpenId) -> None:
    async with held(provider):
        impatient = asyncio.create_task(inside.browser.get("/api/account"))
        await so(lambda: refreshes(provider) != [])
        patient = asyncio.create_task(inside.browser.get("/api/account"))
        await asyncio.sleep(0)
        impatient.cancel()
    assert (await patient).status_code == 200
    assert len(refreshes(provider)) == 1


@pytest.mark.parametrize("good", [True, False])
async def test_workers_share_one_refresh(
    good: bool,
    inside: OAuthFlow,
    provider: FakeOpenId,
    tables: dict[str, Any],
    make_settings: Callable[..., Settings],
    clock: Clock,
    server: Valkey,
) -> None:
    if not good:
        provider.refresh_tokens = []
    async with running(make_settings(oauth=tables, oauth_timeout=PATIENCE), clock) as other:
        elsewhere = OAuthFlow(other.another_client(cookies=inside.browser.cookies))
        async with held(provider):
            first = asyncio.create_task(inside.user())
            await so(lambda: refreshes(provider) != [])
            second = asyncio.create_task(elsewhere.user())
            with server.client as client:  # the second looks again and again whether it is its turn
                before = client.info("commandstats")["cmdstat_set"]["calls"]
                await so(lambda: client.info("commandstats")["cmdstat_set"]["calls"] > before + 1)
            assert not second.done()
        assert [await first is not None, await second is not None] == [good, good]
    assert len(refreshes(provider)) == 1


async def test_concurrent_requests_share_a_refusal(
    inside: OAuthFlow, provider: FakeOpenId, service: Running, server: Valkey
) -> None:
    """Even before the refused worker has ended the session."""
    provider.refresh_tokens = []
    with server.client as client:
        (name,) = client.scan_iter("sessions-of:*")
    (session,) = await service.state["sessions"].of_user(name.decode().removeprefix("sessions-of:"))
    for _ in range(2):
        assert await service.state["refresher"].recheck(session) is None
    assert len(refreshes(provider)) == 1


async def test_invalid_grant_ends_the_session_for_good(
    inside: OAuthFlow, provider: FakeOpenId, server: Valkey, service: Running
) -> None:
    provider.refresh_tokens = []
    answer = await inside.browser.get("/account")
    assert answer.headers["location"] == "/sign-in?next=/account"
    assert await inside.user() is None
    assert len(refreshes(provider)) == 1
    with server.client as client:
        assert list(client.scan_iter("session*")) == []
    entries = (await service.state["audit"].page()).entries
    assert (entries[0].event, entries[0].detail) == ("session_ended", "corp")


async def test_session_of_a_repeated_callback_is_rechecked(
    flow: OAuthFlow, provider: FakeOpenId, clock: Clock, service: Running
) -> None:
    callback = await flow.authorize(await flow.start())
    for answer in await asyncio.gather(*(flow.callback(callback) for _ in range(4))):
        assert answer.headers["location"] == "/"
    assert len((await flow.browser.get("/api/account/sessions")).json()) == 1
    clock.move(LIFETIME)
    provider.refresh_tokens = []
    assert await flow.user() is None


async def test_refresh_false_never_asks_the_provider(flow: OAuthFlow, provider: FakeOpenId, clock: Clock) -> None:
    await flow.sign_in("never")
    clock.move(10 * LIFETIME)
    assert await flow.user() is not None
    assert refreshes(provider) == []


async def test_session_without_a_refresh_token_lives_until_its_timeout(
    flow: OAuthFlow, provider: FakeOpenId, clock: Clock
) -> None:
    provider.refresh_tokens = None
    await flow.sign_in()
    clock.move(10 * LIFETIME)
    assert await flow.user() is not None


async def test_recheck_happens_at_most_once_a_minute(flow: OAuthFlow, provider: FakeOpenId, clock: Clock) -> None:
    provider.tokens["expires_in"] = "1"
    await flow.sign_in()
    clock.move(59)
    assert await flow.user() is not None
    assert refreshes(provider) == []


async def test_provider_tokens_are_deleted_with_their_session(flow: OAuthFlow, server: Valkey) -> None:
    await flow.sign_in()
    with server.client as client:
        assert len(list(client.scan_iter("session-origin:*"))) == 1
        await flow.browser.post("/sign-out")
        assert list(client.scan_iter("session-origin:*")) == []


async def test_no_token_is_logged_or_stored_in_the_clear(
    inside: OAuthFlow, provider: FakeOpenId, server: Valkey, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.instead["/token"] = lambda: JSONResponse({}, 500)
    await inside.user()
    assert provider.refresh_tokens
    (token,) = provider.refresh_tokens
    with server.client as client:
        everything = b"".join(client.dump(key) or b"" for key in client.scan_iter("*"))
    assert token.encode() not in everything
    said = capsys.readouterr().err
    assert "a session was not rechecked" in said
    assert token not in said


async def test_offline_access_asks_for_consent(
    provider: FakeOpenId, make_settings: Callable[..., Settings], clock: Clock
) -> None:
    """OpenID Connect Core 11: without it the provider gives no refresh token."""
    table = corp(provider, refresh=True, scopes="openid offline_access")
    async with running(make_settings(oauth={"corp": table}), clock) as service:
        address = httpx.URL(await OAuthFlow(service.another_client(headers={"Accept": "text/html"})).start())
    assert address.params["prompt"] == "consent"
