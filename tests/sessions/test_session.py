"""A session's life: begun, used, ended, and over."""

from collections.abc import Callable
from typing import Any

import pytest

from app.sessions.service import REAUTH_WINDOW
from app.settings import Settings
from tests.helpers.cast import PASSWORD, Cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running
from tests.helpers.valkey import Valkey
from tests.sessions.opened import HTTPS, check, cookie_of, opened, scope_of, session_of, until_refused

DAY = 86_400


async def test_sign_out_ends_the_session(service: Running, elsewhere: Running, cast: Cast) -> None:
    for way in ("DELETE /api/session", "POST /sign-out"):
        client = await signed_in(service, "bob", base_url=HTTPS)
        cookie = cookie_of(client)
        assert await check(service, cookie) == await check(elsewhere, cookie) == 200
        answer = await client.request(*way.split())
        assert answer.status_code in {204, 303}
        assert answer.headers["set-cookie"].startswith("__Host-tallygate=; ")
        assert "Max-Age=0" in answer.headers["set-cookie"]
        assert await check(service, cookie) == 401  # at once where it was ended
        await until_refused(elsewhere, cookie)


async def test_sign_in_replaces_the_session_id(service: Running, cast: Cast) -> None:
    """An attacker who planted or saw the former id gains nothing (session fixation)."""
    client = await signed_in(service, "bob", base_url=HTTPS)
    before = cookie_of(client)
    answer = await client.post("/api/session", json={"username": "bob", "password": PASSWORD})
    assert answer.status_code == 200
    assert cookie_of(client) != before
    assert await check(service, before) == 401
    assert await check(service, cookie_of(client)) == 200


async def test_signing_in_as_another_ends_the_session_before_and_takes_nothing_of_it(
    service: Running, cast: Cast
) -> None:
    client = await signed_in(service, "bob", base_url=HTTPS)
    bobs = cookie_of(client)
    scope, session = await session_of(service, bobs)
    session.data["basket"] = ["apple"]
    await service.state["sessions"].commit(scope, [])
    await client.post("/api/session", json={"username": "charlie", "password": PASSWORD})
    assert await check(service, bobs) == 401
    assert "basket" not in (await session_of(service, cookie_of(client)))[1].data


async def test_a_changed_password_gives_a_new_id_with_the_same_data(service: Running, cast: Cast) -> None:
    client = await signed_in(service, "bob", base_url=HTTPS)
    before = cookie_of(client)
    scope, session = await session_of(service, before)
    session.data["basket"] = ["apple"]
    await service.state["sessions"].commit(scope, [])
    answer = await client.post("/account/password", data={"current": PASSWORD, "new": "a stone bridge in the rain"})
    assert answer.status_code == 303
    assert await check(service, before) == 401
    _, after = await session_of(service, cookie_of(client))
    assert after.data["basket"] == ["apple"]


@pytest.mark.parametrize("others", ["on", ""])
async def test_a_changed_password_ends_the_other_sessions_as_chosen(
    service: Running, elsewhere: Running, cast: Cast, others: str
) -> None:
    client = await signed_in(service, "bob", base_url=HTTPS)
    other, charlies = await opened(service, cast.bob), await opened(service, cast.charlie)
    assert await check(elsewhere, other) == 200
    form = {"current": PASSWORD, "new": "a stone bridge in the rain", "end_others": others}
    assert (await client.post("/account/password", data=form)).status_code == 303
    assert await check(service, other) == (401 if others else 200)
    if others:
        await until_refused(elsewhere, other)
    assert await check(service, charlies) == await check(service, cookie_of(client)) == 200


async def test_unused_session_ends_at_the_idle_timeout(service: Running, cast: Cast, clock: Clock) -> None:
    cookie = await opened(service, cast.bob)
    clock.move(14 * DAY - 1)
    assert await check(service, cookie) == 200  # and that is a use
    clock.move(14 * DAY - 1)
    assert await check(service, cookie) == 200
    clock.move(14 * DAY)
    assert await check(service, cookie) == 401
    clock.move(-1)
    assert await check(service, cookie) == 200


async def test_used_session_ends_at_the_absolute_timeout(service: Running, cast: Cast, clock: Clock) -> None:
    cookie = await opened(service, cast.bob)
    for _ in range(89):
        clock.move(DAY)
        assert await check(service, cookie) == 200
    clock.move(DAY - 1)
    assert await check(service, cookie) == 200
    clock.move(1)
    assert await check(service, cookie) == 401


async def test_cached_session_ends_on_time(make_settings: Callable[..., Settings], clock: Clock) -> None:
    async with running(make_settings(session_idle_timeout=60, session_absolute_timeout=100), clock) as service:
        user = await service.state["accounts"].create("bob", None)
        cookie = await opened(service, user)
        for seconds, status in ((14, 200), (44, 200), (41, 200), (1, 401)):
            clock.move(seconds)
            assert await check(service, cookie) == status
        other = await opened(service, user)
        assert await check(service, other) == 200
        clock.move(60)
        assert await check(service, other) == 401


async def test_redis_expires_sessions(service: Running, cast: Cast, server: Valkey, clock: Clock) -> None:
    await opened(service, cast.bob)
    with server.client as client:
        (key,) = client.scan_iter("session:*")
        assert client.pexpiretime(key) == (clock() + 14 * DAY) * 1000
        (index,) = client.scan_iter("sessions-of:*")
        assert client.pexpiretime(index) > (clock() + 90 * DAY) * 1000


async def test_last_use_is_written_at_most_once_a_minute(
    service: Running, cast: Cast, server: Valkey, clock: Clock
) -> None:
    cookie, begun = await opened(service, cast.bob), clock()
    with server.client as client:
        (key,) = client.scan_iter("session:*")
        noted = []
        for _ in range(25):
            await check(service, cookie)
            noted.append(float(client.hget(key, "s")) - begun)
            clock.move(10)
        assert sorted(set(noted)) == [0, 60, 120, 180, 240]
        assert client.pexpiretime(key) == (begun + 240 + 14 * DAY) * 1000


async def test_a_late_write_does_not_bring_an_ended_session_back(
    service: Running, cast: Cast, server: Valkey, clock: Clock
) -> None:
    cookie = await opened(service, cast.bob)
    scope, session = await session_of(service, cookie)
    clock.move(90)
    late = scope_of(cookie)
    await service.state["sessions"].end(scope_of(cookie))
    session.data["basket"] = ["apple"]
    await service.state["sessions"].commit(scope, [])
    await service.state["sessions"]._store.touch(session)
    with server.client as client:
        assert not list(client.scan_iter("session:*"))
    assert await service.state["sessions"].open(late) is None


@pytest.mark.parametrize("spoilt", [{"c": "x"}, {"u": None}, {"s": "nan"}, {"u": b"\xff"}])
async def test_corrupt_session_in_redis_is_ignored(
    service: Running, cast: Cast, server: Valkey, spoilt: dict[str, Any]
) -> None:
    cookie = await opened(service, cast.bob)
    with server.client as client:
        (key,) = client.scan_iter("session:*")
        for name, value in spoilt.items():
            if value is None:
                client.hdel(key, name)
            else:
                client.hset(key, name, value)
    assert await check(service, cookie) == 401
    assert await service.state["sessions"].of_user(cast.bob.id) == []


async def test_a_session_is_fresh_for_a_moment(service: Running, cast: Cast, clock: Clock) -> None:
    cookie = await opened(service, cast.bob)
    sessions = service.state["sessions"]
    assert await sessions.fresh(scope_of(cookie))
    assert not await sessions.fresh(scope_of())
    clock.move(REAUTH_WINDOW)
    assert not await sessions.fresh(scope_of(cookie))


@pytest.mark.parametrize(
    ("path", "signed_in_status"),
    [("/", 200), ("/sign-in", 303), ("/account", 200), ("/account/devices", 200), ("/account/tokens", 200),
     ("/admin/users", 403), ("/api/session", 200), ("/api/account", 200), ("/api/account/sessions", 200),
     ("/api/account/tokens", 200)],
)  # fmt: skip
async def test_personal_responses_are_not_cacheable(
    service: Running, cast: Cast, path: str, signed_in_status: int
) -> None:
    cookie = await opened(service, cast.bob)
    for headers in ({"Cookie": cookie}, {"Cookie": cookie}, {"Cookie": "__Host-tallygate=x"}, {}):
        answer = await service.another_client(base_url=HTTPS, headers=headers).get(path)
        if cookie in headers.values():
            assert answer.status_code == signed_in_status
        assert answer.headers["cache-control"] == "no-store"
        assert "cookie" in answer.headers["vary"].lower()


async def test_flash_message_after_sign_in_shows_once(service: Running, cast: Cast) -> None:
    client = service.another_client(base_url=HTTPS)
    await client.post("/sign-in", data={"username": "bob", "password": PASSWORD})
    first, second = await client.get("/"), await client.get("/")
    assert "You are signed in." in first.text
    assert "You are signed in." not in second.text
    assert "bob" in first.text
    assert "bob" in second.text


async def test_signed_in_request_sends_few_redis_commands(service: Running, cast: Cast, server: Valkey) -> None:
    client = await signed_in(service, "bob", base_url=HTTPS)
    await client.get("/api/session")
    with server.client as valkey:
        before = valkey.info("stats")["total_commands_processed"]
        for _ in range(500):
            assert (await client.get("/api/session")).status_code == 200
        asked = valkey.info("stats")["total_commands_processed"] - before
    assert asked < 50
