"""Redis goes away and comes back: nobody is let in meanwhile, and nobody has to sign in again."""

import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.counter import exactly_once
from app.store.client import StoreUnavailable
from tests.accounts.conftest import Start
from tests.accounts.pages.reading import status
from tests.helpers.cast import PASSWORD, Cast, make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running
from tests.helpers.valkey import Valkey, valkey
from tests.helpers.waiting import eventually

PAGES = ("/account", "/account/devices", "/account/tokens", "/admin/users", "/admin/audit")


@pytest.fixture
def fragile(short_folder: Path) -> Iterator[Valkey]:
    """A server of the test's own, to take away."""
    with valkey(short_folder / f"fragile{time.monotonic_ns()}") as server:
        yield server


async def test_signed_in_pages_say_that_it_is_unavailable_and_afterwards_everybody_is_still_in(
    start: Start, fragile: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exactly_once, "REPLY_TIMEOUT", 0.1)
    async with AsyncExitStack() as stack:
        options = {"redis_url": fragile.url}
        here, elsewhere = [await stack.enter_async_context(start(**options)) for _ in range(2)]
        await make_cast(here)
        alice, bob = await signed_in(here, "alice"), await signed_in(elsewhere, "bob")
        token = (await bob.post("/api/account/tokens", json={"name": "backup"})).json()["token"]
        program = elsewhere.another_client(headers={"Authorization": f"Bearer {token}"})
        assert await status(program) == 200
        fragile.stop()

        async def gone() -> bool:
            return {await status(alice), await status(bob), await status(program)} == {503}

        await eventually(gone)
        for path in PAGES:
            page = await alice.get(path)
            assert (page.status_code, page.headers["retry-after"]) == (503, "2")
            assert "Sign-in and counting are temporarily unavailable." in page.text
        page = await alice.get("/account", headers={"Accept-Language": "zh"})
        assert page.status_code == 503
        assert "登录和计数暂时不可用" in page.text
        await nobody_gets_in(here.another_client())
        home = await alice.get("/")
        assert home.status_code == 200
        assert "alice" not in home.text

        fragile.start()

        async def back() -> bool:
            return {await status(alice), await status(bob), await status(program)} == {200}

        await eventually(back)
        assert "alice" in (await alice.get("/")).text
        assert (await bob.get("/account")).status_code == 200


async def nobody_gets_in(visitor: httpx.AsyncClient) -> None:
    assert (await visitor.get("/sign-in")).status_code == 200
    for password in (PASSWORD, "not that"):
        page = await visitor.post("/sign-in", data={"username": "alice", "password": password})
        assert page.status_code == 503
        answer = await visitor.post("/api/session", json={"username": "alice", "password": password})
        assert answer.status_code == 503
        assert answer.json()["status"] == 503
    assert (await visitor.get("/setup?token=0")).status_code == 503
    assert not visitor.cookies


async def test_sign_in_fails_if_it_cannot_be_audited(
    service: Running, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("gone", sent=False)

    monkeypatch.setattr(service.state["audit"], "record", away)
    credentials = {"username": "bob", "password": PASSWORD}
    assert (await service.client.post("/sign-in", data=credentials)).status_code == 503
    assert (await service.client.post("/api/session", json=credentials)).status_code == 503
    assert not service.client.cookies
    assert not await service.state["sessions"].of_user(cast.bob.id)


async def test_sign_in_interrupted_by_redis_starts_no_session(start: Start, fragile: Valkey) -> None:
    """After the right password, before the session: there is none, and no cookie that would name one."""
    async with start(redis_url=fragile.url) as service:
        await make_cast(service)
        verify = service.state["passwords"].verify

        async def last(stored: str | None, password: str) -> bool:
            right: bool = await verify(stored, password)
            fragile.stop()
            return right

        service.state["passwords"].verify = last
        visitor = service.another_client()
        answer = await visitor.post("/sign-in", data={"username": "bob", "password": PASSWORD})
        assert answer.status_code == 503
        assert not visitor.cookies
        fragile.start()
        with fragile.client as client:
            assert not list(client.scan_iter("session:*"))


@pytest.mark.parametrize("setting", ["maxmemory", "min-replicas-to-write"])
async def test_read_only_redis_refuses_sign_ins(start: Start, fragile: Valkey, setting: str, clock: Clock) -> None:
    """A full memory; missing replicas answer as a full disk does."""
    async with start(redis_url=fragile.url) as service:
        await make_cast(service)
        bob, visitor = await signed_in(service, "bob"), service.another_client()
        credentials = {"username": "charlie", "password": PASSWORD}
        with fragile.client as client:
            client.config_set(setting, 1)
            assert (await visitor.post("/sign-in", data=credentials)).status_code == 503
            assert (await visitor.post("/api/session", json=credentials)).headers["retry-after"] == "2"
            assert (await bob.post("/account", data={"locale": "zh"})).status_code == 503
            clock.move(61)  # by now it is to be noted that the session is in use
            assert (await bob.get("/account")).status_code == 200
            client.config_set(setting, 0)
        assert (await visitor.post("/sign-in", data=credentials)).status_code == 303


@pytest.mark.parametrize("missing", ["the second look at the password", "the end of the session"])
async def test_sessions_are_refused_while_redis_is_away(
    service: Running, cast: Cast, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    accounts, sessions, looks = service.state["accounts"], service.state["sessions"], []
    credentials = accounts.credentials

    async def away(*_: object) -> None:
        raise StoreUnavailable("gone", sent=True)

    async def disabled_at_the_second_look(name: str) -> Any:
        looks.append(name)
        if len(looks) == 2:
            await accounts.set_disabled(cast.bob.id, True)
            if missing == "the second look at the password":
                await away()
        return await credentials(name)

    with monkeypatch.context() as patched:
        patched.setattr(accounts, "credentials", disabled_at_the_second_look)
        patched.setattr(sessions, "end", away)
        answer = await client.post("/sign-in", data={"username": "bob", "password": PASSWORD})
        assert answer.status_code == 503
    await accounts.set_disabled(cast.bob.id, False)
    assert await status(client) == 401
