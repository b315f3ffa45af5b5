"""Redis away: nobody is let in, pages that need to know say so, and everybody is still signed in afterwards."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from app.counter import exactly_once
from app.settings import Settings
from app.store.client import StoreUnavailable
from tests.helpers.cast import PASSWORD, Cast, make_cast, signed_in
from tests.helpers.service import Running, running
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey, valkey
from tests.sessions.opened import HTTPS, opened, scope_of

NEED_TO_KNOW = ["/account", "/account/devices", "/account/tokens", "/admin/users", "/api/session", "/api/account",
                "/api/account/sessions", "/sign-in"]  # fmt: skip


@pytest.fixture
def own(short_folder: Path) -> Iterator[Valkey]:
    """A Valkey of this test's own, which it may end and start again."""
    with valkey(short_folder / "away", "--appendfsync", "always") as server:
        with server.client as client:
            client.flushall()
        yield server


@pytest.fixture
async def place(
    own: Valkey, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Running]:
    monkeypatch.setattr(exactly_once, "REPLY_TIMEOUT", 0.1)
    async with running(make_settings(redis_url=own.url, redis_timeout=1)) as service:
        yield service


@pytest.fixture
async def people(place: Running) -> Cast:
    return await make_cast(place)


async def comes_back(client: httpx.AsyncClient) -> None:
    """Signed in, as before: for what a worker remembers, and for what it has to ask on another connection."""
    async with asyncio.timeout(PATIENCE):
        for path in ("/api/session", "/account"):
            while (await client.get(path)).status_code != 200:
                await asyncio.sleep(0.02)


async def nobody_is_let_in(place: Running, bob: httpx.AsyncClient) -> None:
    for path in NEED_TO_KNOW:
        for accept in ("text/html", "application/json"):
            answer = await bob.get(path, headers={"Accept": accept})
            assert answer.status_code == 503, path
            assert answer.headers["retry-after"]
            assert "set-cookie" not in answer.headers
            assert "bob" not in answer.text
    for method, path in (("POST", "/account"), ("POST", "/sign-out"), ("DELETE", "/api/session")):
        answer = await bob.request(method, path)
        assert answer.status_code == 503, path
        assert "set-cookie" not in answer.headers
    answer = await place.another_client().post("/api/session", json={"username": "bob", "password": PASSWORD})
    assert answer.status_code == 503
    home = await bob.get("/", headers={"Accept": "text/html"})
    assert home.status_code == 200
    assert "bob" not in home.text
    stranger = place.another_client()
    assert (await stranger.get("/account")).status_code == 303
    assert (await stranger.get("/api/session")).status_code == 401
    ready = await stranger.get("/ready")
    assert (ready.status_code, ready.json()["store"]) == (200, "away")
    assert (await stranger.get("/live")).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_sessions_survive_a_redis_outage(place: Running, people: Cast, own: Valkey, how: str) -> None:
    clients = [await signed_in(place, name, base_url=HTTPS) for name in ("alice", "bob", "charlie")]
    for client in clients:
        assert (await client.get("/api/session")).status_code == 200
    own.kill() if how == "kill" else own.stop()
    async with asyncio.timeout(PATIENCE):
        while (await clients[1].get("/api/session")).status_code != 503:
            await asyncio.sleep(0.01)
    await nobody_is_let_in(place, clients[1])
    own.start()
    for client in clients:
        await comes_back(client)


@pytest.mark.slow
async def test_hanging_redis_counts_as_away(place: Running, people: Cast, own: Valkey) -> None:
    bob = await signed_in(place, "bob", base_url=HTTPS)
    assert (await bob.get("/api/session")).status_code == 200
    own.send(signal.SIGSTOP)
    try:
        async with asyncio.timeout(PATIENCE):
            while (await bob.get("/api/session")).status_code != 503:
                await asyncio.sleep(0.02)
        assert (await bob.get("/account")).status_code == 503
    finally:
        own.send(signal.SIGCONT)
    await comes_back(bob)


async def test_ended_session_stays_ended_after_an_outage(place: Running, people: Cast, own: Valkey) -> None:
    bob, other = [await signed_in(place, "bob", base_url=HTTPS) for _ in range(2)]
    kept = dict(bob.cookies)
    assert (await bob.delete("/api/session")).status_code == 204
    own.kill()
    own.start()
    await comes_back(other)
    assert (await place.another_client(base_url=HTTPS, cookies=kept).get("/api/session")).status_code == 401


async def test_failed_read_does_not_sign_out(place: Running, people: Cast, own: Valkey) -> None:
    sessions = place.state["sessions"]
    scope = scope_of(await opened(place, people.bob))
    own.kill()
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await sessions.open(scope)
        with pytest.raises(StoreUnavailable):
            await sessions.begin(scope, people.bob.id, "password")
    own.start()
    async with asyncio.timeout(PATIENCE):
        while await is_away(sessions.open(scope)):
            await asyncio.sleep(0.02)
    session = await sessions.open(scope)
    assert session is not None
    assert session.user == people.bob.id


async def is_away(asked: Awaitable[object]) -> bool:
    try:
        await asked
    except StoreUnavailable:
        return True
    return False
