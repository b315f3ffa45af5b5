"""A session's life: begun, used, ended, and over."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.settings import Settings
from app.web.session_stores import MOST_SESSIONS
from app.web.sessions import FRESH
from tests.cast import PASSWORD, Cast, signed_in
from tests.clock import Clock
from tests.service import Running, running
from tests.sessions.opened import HTTPS, check, opened, scope_of, session_of
from tests.valkey import Valkey

DAY = 86_400


def cookie_of(client: httpx.AsyncClient) -> str:
    """The Cookie header that this browser sends."""
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)


async def test_after_signing_out_the_cookie_is_worth_nothing(service: Running, elsewhere: Running, cast: Cast) -> None:
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


async def until_refused(service: Running, cookie: str) -> None:
    """Waits until another worker has heard of it."""
    async with asyncio.timeout(10):
        while await check(service, cookie) != 401:
            await asyncio.sleep(0.001)


async def test_signing_in_gives_a_new_id_and_the_old_one_is_dead(service: Running, cast: Cast) -> None:
    """Whoever has planted or seen the id from before gains nothing (session fixation)."""
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


async def test_a_session_that_is_not_used_ends(service: Running, cast: Cast, clock: Clock) -> None:
    cookie = await opened(service, cast.bob)
    clock.move(14 * DAY - 1)
    assert await check(service, cookie) == 200  # and that is a use
    clock.move(14 * DAY - 1)
    assert await check(service, cookie) == 200
    clock.move(14 * DAY)
    assert await check(service, cookie) == 401
    clock.move(-1)
    assert await check(service, cookie) == 200


async def test_a_session_ends_also_when_it_is_used_all_the_time(service: Running, cast: Cast, clock: Clock) -> None:
    cookie = await opened(service, cast.bob)
    for _ in range(89):
        clock.move(DAY)
        assert await check(service, cookie) == 200
    clock.move(DAY - 1)
    assert await check(service, cookie) == 200
    clock.move(1)
    assert await check(service, cookie) == 401


async def test_a_worker_that_has_kept_a_session_ends_it_as_well(
    make_settings: Callable[..., Settings], clock: Clock
) -> None:
    async with running(make_settings(session_idle=60, session_lifetime=100), clock) as service:
        user = await service.state["accounts"].create("bob", None)
        cookie = await opened(service, user)
        for seconds, status in ((14, 200), (44, 200), (41, 200), (1, 401)):
            clock.move(seconds)
            assert await check(service, cookie) == status
        other = await opened(service, user)
        assert await check(service, other) == 200
        clock.move(60)
        assert await check(service, other) == 401


async def test_redis_forgets_sessions_by_itself(service: Running, cast: Cast, server: Valkey, clock: Clock) -> None:
    await opened(service, cast.bob)
    with server.client as client:
        (key,) = client.scan_iter("session:*")
        assert client.pexpiretime(key) == (clock() + 14 * DAY) * 1000
        (index,) = client.scan_iter("sessions-of:*")
        assert client.pexpiretime(index) > (clock() + 90 * DAY) * 1000


async def test_the_last_use_is_noted_once_a_minute_at_most(
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


async def test_a_disabled_user_is_out_everywhere(service: Running, elsewhere: Running, cast: Cast) -> None:
    alice = await signed_in(service, "alice", base_url=HTTPS)
    bobs = [await opened(service, cast.bob), await opened(elsewhere, cast.bob)]
    for cookie in bobs:
        assert await check(service, cookie) == await check(elsewhere, cookie) == 200
    answer = await alice.post(f"/admin/users/{cast.bob.id}", data={"action": "disable"})
    assert answer.status_code == 303
    for cookie in bobs:
        await until_refused(service, cookie)
        await until_refused(elsewhere, cookie)
    await alice.post(f"/admin/users/{cast.bob.id}", data={"action": "enable"})
    for cookie in bobs:
        assert await check(service, cookie) == await check(elsewhere, cookie) == 401
    assert (await alice.get("/api/session")).status_code == 200


async def test_a_user_who_is_disabled_alone_is_refused_though_the_session_lives(service: Running, cast: Cast) -> None:
    cookie = await opened(service, cast.bob)
    assert await check(service, cookie) == 200
    await service.state["accounts"].set_disabled(cast.bob.id, True)
    await until_refused(service, cookie)
    assert len(await service.state["sessions"].of_user(cast.bob.id)) == 1


async def test_a_user_ends_own_sessions_and_nobody_elses(service: Running, cast: Cast) -> None:
    bob, charlie = await signed_in(service, "bob", base_url=HTTPS), await signed_in(service, "charlie", base_url=HTTPS)
    (charlies,) = (await charlie.get("/api/account/sessions")).json()
    assert (await bob.delete(f"/api/account/sessions/{charlies['id']}")).status_code == 404
    assert (await charlie.get("/api/session")).status_code == 200
    other = await opened(service, cast.bob)
    ids = {each["id"]: each["current"] for each in (await bob.get("/api/account/sessions")).json()}
    assert sorted(ids.values()) == [False, True]
    (others,) = [each for each, current in ids.items() if not current]
    assert (await bob.delete(f"/api/account/sessions/{others}")).status_code == 204
    assert await check(service, other) == 401
    assert (await bob.get("/api/session")).status_code == 200


async def test_the_id_that_is_listed_is_not_the_one_that_signs_in(service: Running, cast: Cast) -> None:
    client = await signed_in(service, "bob", base_url=HTTPS)
    (listed,) = (await client.get("/api/account/sessions")).json()
    assert listed["id"] not in cookie_of(client)


async def test_the_devices_tell_what_is_known_of_them(service: Running, cast: Cast, clock: Clock) -> None:
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    client = await signed_in(
        service, "bob", base_url=HTTPS, headers={"User-Agent": agent}, client=("2001:db8::1", 40000)
    )
    begun = clock()
    clock.move(90)
    (listed,) = (await client.get("/api/account/sessions")).json()
    del listed["id"]
    assert listed == {
        "device": "Firefox on Linux", "address": "2001:db8::1", "created": begun, "seen": begun + 90,
        "how": "password", "current": True,
    }  # fmt: skip


async def test_sessions_are_listed_last_used_first_and_dead_ones_not(
    service: Running, cast: Cast, clock: Clock
) -> None:
    cookies = []
    for _ in range(3):
        cookies.append(await opened(service, cast.bob))
        clock.move(DAY)
    clock.move(10 * DAY)
    await check(service, cookies[1])
    clock.move(2 * DAY)
    listed = await service.state["sessions"].of_user(cast.bob.id)
    keys = [(await session_of(service, cookie))[1].key for cookie in (cookies[1], cookies[2])]
    assert [session.key for session in listed] == keys
    assert await check(service, cookies[0]) == 401


async def test_a_longer_lifetime_leaves_no_session_that_cannot_be_found(
    make_settings: Callable[..., Settings], clock: Clock
) -> None:
    """An operator may change settings while sessions live."""
    async with running(make_settings(session_lifetime=10 * DAY), clock) as service:
        user = await service.state["accounts"].create("bob", None)
        cookie = await opened(service, user)
    async with running(make_settings(session_lifetime=90 * DAY), clock) as service:
        clock.move(DAY)
        assert await check(service, cookie) == 200
        clock.move(12 * DAY)
        await opened(service, user)
        assert await check(service, cookie) == 200
        assert await service.state["sessions"].end_all(user.id) == 2
        assert await check(service, cookie) == 401


async def test_a_program_that_never_signs_out_has_its_oldest_sessions_ended(
    service: Running, cast: Cast, server: Valkey
) -> None:
    first = await opened(service, cast.bob)
    others = await asyncio.gather(*(opened(service, cast.bob) for _ in range(MOST_SESSIONS + 4)))
    assert await check(service, others[-1]) == 200
    with server.client as client:
        assert client.zcard(f"sessions-of:{cast.bob.id}") == len(list(client.scan_iter("session:*"))) == MOST_SESSIONS
    assert await service.state["sessions"].end_all(cast.bob.id) == MOST_SESSIONS
    assert await check(service, first) == await check(service, others[-1]) == 401


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
async def test_a_session_that_is_spoilt_in_redis_is_none(
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
    clock.move(FRESH)
    assert not await sessions.fresh(scope_of(cookie))


@pytest.mark.parametrize(
    ("path", "signed_in_status"),
    [("/", 200), ("/sign-in", 303), ("/account", 200), ("/account/devices", 200), ("/account/tokens", 200),
     ("/admin/users", 403), ("/api/session", 200), ("/api/account", 200), ("/api/account/sessions", 200),
     ("/api/account/tokens", 200)],
)  # fmt: skip
async def test_what_depends_on_who_asks_is_kept_by_no_cache(
    service: Running, cast: Cast, path: str, signed_in_status: int
) -> None:
    cookie = await opened(service, cast.bob)
    for headers in ({"Cookie": cookie}, {"Cookie": cookie}, {"Cookie": "__Host-tallygate=x"}, {}):
        answer = await service.another_client(base_url=HTTPS, headers=headers).get(path)
        if cookie in headers.values():
            assert answer.status_code == signed_in_status
        assert answer.headers["cache-control"] == "no-store"
        assert "cookie" in answer.headers["vary"].lower()


async def test_a_page_after_signing_in_greets_and_the_next_does_not(service: Running, cast: Cast) -> None:
    client = service.another_client(base_url=HTTPS)
    await client.post("/sign-in", data={"username": "bob", "password": PASSWORD})
    first, second = await client.get("/"), await client.get("/")
    assert "You are signed in." in first.text
    assert "You are signed in." not in second.text
    assert "bob" in first.text
    assert "bob" in second.text


async def test_a_signed_in_request_asks_redis_next_to_nothing(service: Running, cast: Cast, server: Valkey) -> None:
    client = await signed_in(service, "bob", base_url=HTTPS)
    await client.get("/api/session")
    with server.client as valkey:
        before = valkey.info("stats")["total_commands_processed"]
        for _ in range(500):
            assert (await client.get("/api/session")).status_code == 200
        asked = valkey.info("stats")["total_commands_processed"] - before
    assert asked < 50
