"""Staying fresh: a session lasts for as long as its provider vouches for it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.responses import HTMLResponse, JSONResponse, Response

from app.settings import Settings
from tests.clock import Clock
from tests.fakes.openid import OTHER_RSA, FakeOpenId
from tests.oauth.conftest import corp
from tests.oauth.walk import Walk
from tests.service import Running, running
from tests.sockets import PATIENCE
from tests.valkey import Valkey

LIFETIME = 300
"""Seconds that the provider's access tokens live."""


@pytest.fixture
def tables(provider: FakeOpenId) -> dict[str, dict[str, Any]]:
    provider.refresh_tokens = []
    return {"corp": corp(provider, refresh=True), "never": corp(provider, label="Never")}


@pytest.fixture
async def inside(walk: Walk, clock: Clock) -> Walk:
    """Somebody whose access token has just expired."""
    await walk.whole()
    clock.move(LIFETIME)
    return walk


def refreshes(provider: FakeOpenId) -> list[str]:
    """The refresh tokens that it was asked with."""
    forms = [asked.form for asked in provider.asked if asked.path == "/token"]
    return [form["refresh_token"] for form in forms if form["grant_type"] == "refresh_token"]


@asynccontextmanager
async def held(provider: FakeOpenId) -> AsyncIterator[None]:
    """Within the block the provider answers no refresh."""
    provider.hold = threading.Event()
    try:
        yield
    finally:
        provider.hold.set()


async def so(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.005)


async def test_nobody_asks_before_the_token_expires(walk: Walk, provider: FakeOpenId, clock: Clock) -> None:
    await walk.whole()
    clock.move(LIFETIME - 1)
    assert await walk.user() is not None
    assert refreshes(provider) == []


async def test_each_token_is_used_once_and_in_its_turn(inside: Walk, provider: FakeOpenId, clock: Clock) -> None:
    assert await inside.user() is not None
    assert await inside.user() is not None
    clock.move(LIFETIME)
    assert await inside.user() is not None
    assert provider.refresh_tokens is not None
    assert refreshes(provider) == provider.refresh_tokens[:2]


async def test_a_refresh_token_that_is_not_replaced_stays_good(
    inside: Walk, provider: FakeOpenId, clock: Clock
) -> None:
    provider.rotates = False
    assert await inside.user() is not None
    clock.move(LIFETIME)
    assert await inside.user() is not None
    assert provider.refresh_tokens is not None
    assert refreshes(provider) == provider.refresh_tokens * 2


async def test_twenty_requests_at_once_wait_for_one_refresh(inside: Walk, provider: FakeOpenId) -> None:
    async with held(provider):
        asking = [asyncio.create_task(inside.browser.get("/api/account")) for _ in range(20)]
        await so(lambda: refreshes(provider) != [])
        assert not any(task.done() for task in asking)
    assert [answer.status_code for answer in await asyncio.gather(*asking)] == [200] * 20
    assert len(refreshes(provider)) == 1


async def test_it_goes_on_when_who_began_it_has_left(inside: Walk, provider: FakeOpenId) -> None:
    async with held(provider):
        impatient = asyncio.create_task(inside.browser.get("/api/account"))
        await so(lambda: refreshes(provider) != [])
        patient = asyncio.create_task(inside.browser.get("/api/account"))
        await asyncio.sleep(0)
        impatient.cancel()
    assert (await patient).status_code == 200
    assert len(refreshes(provider)) == 1


async def test_workers_share_one_refresh(
    inside: Walk,
    provider: FakeOpenId,
    tables: dict[str, Any],
    make_settings: Callable[..., Settings],
    clock: Clock,
    server: Valkey,
) -> None:
    async with running(make_settings(oauth=tables, oauth_timeout=PATIENCE), clock) as other:
        elsewhere = Walk(other.another_client(cookies=inside.browser.cookies))
        async with held(provider):
            first = asyncio.create_task(inside.user())
            await so(lambda: refreshes(provider) != [])
            second = asyncio.create_task(elsewhere.user())
            with server.client as client:
                before = client.info("commandstats")["cmdstat_set"]["calls"]
                await so(lambda: client.info("commandstats")["cmdstat_set"]["calls"] > before + 1)
            assert not second.done()
        assert await first == await second is not None
    assert len(refreshes(provider)) == 1


async def test_invalid_grant_ends_the_session_for_good(
    inside: Walk, provider: FakeOpenId, server: Valkey, service: Running
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
async def test_a_provider_that_can_not_tell_ends_nothing_and_is_asked_again_in_a_minute(
    answer: Callable[[], Response], inside: Walk, provider: FakeOpenId, clock: Clock
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


async def test_a_new_id_token_may_come_with_it(inside: Walk, provider: FakeOpenId) -> None:
    provider.refreshed["id_token"] = provider.new_id_token()
    assert await inside.user() is not None


async def test_an_id_token_about_somebody_else_ends_the_session(inside: Walk, provider: FakeOpenId) -> None:
    provider.refreshed["id_token"] = provider.new_id_token(sub="somebody else")
    assert await inside.user() is None


async def test_an_id_token_that_can_not_be_verified_tells_nothing(
    inside: Walk, provider: FakeOpenId, clock: Clock
) -> None:
    provider.sign_with = OTHER_RSA
    provider.refreshed["id_token"] = provider.new_id_token(sub="somebody else")
    assert await inside.user() is not None
    assert await inside.user() is not None
    assert len(refreshes(provider)) == 1


async def test_a_callback_that_came_twice_is_rechecked_as_well(
    walk: Walk, provider: FakeOpenId, clock: Clock, service: Running
) -> None:
    callback = await walk.there(await walk.out())
    for answer in await asyncio.gather(*(walk.back(callback) for _ in range(4))):
        assert answer.headers["location"] == "/"
    assert len((await walk.browser.get("/api/account/sessions")).json()) == 1
    clock.move(LIFETIME)
    provider.refresh_tokens = []
    assert await walk.user() is None


async def test_who_does_not_want_it_is_never_asked_about(walk: Walk, provider: FakeOpenId, clock: Clock) -> None:
    await walk.whole("never")
    clock.move(10 * LIFETIME)
    assert await walk.user() is not None
    assert refreshes(provider) == []


async def test_where_there_is_no_refresh_token_a_session_lasts_as_any_other(
    walk: Walk, provider: FakeOpenId, clock: Clock
) -> None:
    provider.refresh_tokens = None
    await walk.whole()
    clock.move(10 * LIFETIME)
    assert await walk.user() is not None


@pytest.mark.parametrize("lifetime", [None, 0, -5, "soon", True, 1e300, {}])
async def test_a_lifetime_that_makes_no_sense_is_an_hour(
    lifetime: Any, walk: Walk, provider: FakeOpenId, clock: Clock
) -> None:
    provider.tokens["expires_in"] = lifetime
    await walk.whole()
    clock.move(3599)
    assert await walk.user() is not None
    assert refreshes(provider) == []
    clock.move(1)
    assert await walk.user() is not None
    assert len(refreshes(provider)) == 1


async def test_a_provider_is_asked_once_a_minute_at_most(walk: Walk, provider: FakeOpenId, clock: Clock) -> None:
    provider.tokens["expires_in"] = "1"
    await walk.whole()
    clock.move(59)
    assert await walk.user() is not None
    assert refreshes(provider) == []


async def test_a_provider_that_is_not_configured_any_more_vouches_for_nobody(
    inside: Walk, make_settings: Callable[..., Settings], clock: Clock
) -> None:
    async with running(make_settings(oauth={}), clock) as later:
        assert await Walk(later.another_client(cookies=inside.browser.cookies)).user() is None


async def test_a_session_without_its_tokens_has_to_be_begun_anew(inside: Walk, server: Valkey) -> None:
    with server.client as client:
        client.delete(*client.scan_iter("session-origin:*"))
    assert await inside.user() is None


async def test_a_worker_that_dies_while_it_asks_keeps_nobody_out(
    inside: Walk, provider: FakeOpenId, server: Valkey, clock: Clock, monkeypatch: pytest.MonkeyPatch, service: Running
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


async def test_who_signs_out_meanwhile_stays_signed_out(inside: Walk, provider: FakeOpenId, server: Valkey) -> None:
    async with held(provider):
        asking = asyncio.create_task(inside.user())
        await so(lambda: refreshes(provider) != [])
        with server.client as client:  # another worker ends the session
            client.delete(*client.scan_iter("session*"))
    await asking
    assert await inside.user() is None
    with server.client as client:
        assert list(client.scan_iter("session*")) == []


async def test_the_tokens_end_with_their_session(walk: Walk, server: Valkey) -> None:
    await walk.whole()
    with server.client as client:
        assert len(list(client.scan_iter("session-origin:*"))) == 1
        await walk.browser.post("/sign-out")
        assert list(client.scan_iter("session-origin:*")) == []


async def test_no_token_is_logged_or_stored_in_the_clear(
    inside: Walk, provider: FakeOpenId, server: Valkey, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.instead["/token"] = lambda: JSONResponse({}, 500)
    await inside.user()
    assert provider.refresh_tokens
    (token,) = provider.refresh_tokens
    with server.client as client:
        everything = b"".join(client.dump(key) or b"" for key in client.scan_iter("*"))
    assert token.encode() not in everything
    assert token not in capsys.readouterr().err


async def test_offline_access_asks_for_consent(
    provider: FakeOpenId, make_settings: Callable[..., Settings], clock: Clock
) -> None:
    """OpenID Connect Core 11: without it the provider gives no refresh token."""
    table = corp(provider, refresh=True, scopes="openid offline_access")
    async with running(make_settings(oauth={"corp": table}), clock) as service:
        address = httpx.URL(await Walk(service.another_client(headers={"Accept": "text/html"})).out())
    assert address.params["prompt"] == "consent"
