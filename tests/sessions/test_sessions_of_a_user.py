"""A user's sessions together: listed, ended one by one or all at once, and dead with the account."""

import asyncio
from collections.abc import Callable

from app.sessions.redis_store import MAX_SESSIONS_PER_USER
from app.settings import Settings
from tests.helpers.cast import Cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running
from tests.helpers.valkey import Valkey
from tests.sessions.opened import HTTPS, check, cookie_of, opened, session_of, until_refused

DAY = 86_400


async def test_disabled_user_loses_all_sessions(service: Running, elsewhere: Running, cast: Cast) -> None:
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


async def test_disabled_user_is_refused_with_a_live_session(service: Running, cast: Cast) -> None:
    cookie = await opened(service, cast.bob)
    assert await check(service, cookie) == 200
    await service.state["accounts"].set_disabled(cast.bob.id, True)
    await until_refused(service, cookie)
    assert len(await service.state["sessions"].of_user(cast.bob.id)) == 1


async def test_user_ends_only_own_sessions(service: Running, cast: Cast) -> None:
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


async def test_listed_id_is_not_the_session_id(service: Running, cast: Cast) -> None:
    client = await signed_in(service, "bob", base_url=HTTPS)
    (listed,) = (await client.get("/api/account/sessions")).json()
    assert listed["id"] not in cookie_of(client)


async def test_device_list_shows_browser_and_address(service: Running, cast: Cast, clock: Clock) -> None:
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
        "auth_method": "password", "how": "password", "current": True, "auth_time": begun, "amr": ["pwd"],
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
    async with running(make_settings(session_absolute_timeout=10 * DAY), clock) as service:
        user = await service.state["accounts"].create("bob", None)
        cookie = await opened(service, user)
    async with running(make_settings(session_absolute_timeout=90 * DAY), clock) as service:
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
    others = await asyncio.gather(*(opened(service, cast.bob) for _ in range(MAX_SESSIONS_PER_USER + 4)))
    assert await check(service, others[-1]) == 200
    with server.client as client:
        assert (
            client.zcard(f"sessions-of:{cast.bob.id}")
            == len(list(client.scan_iter("session:*")))
            == MAX_SESSIONS_PER_USER
        )
    assert await service.state["sessions"].end_all(cast.bob.id) == MAX_SESSIONS_PER_USER
    assert await check(service, first) == await check(service, others[-1]) == 401


async def test_the_list_of_many_sessions_comes_in_pages_with_the_own_one_first(service: Running, cast: Cast) -> None:
    client = await signed_in(service, "bob", base_url=HTTPS)
    for _ in range(120):
        await opened(service, cast.bob)
    found: list[str] = []
    address: str | None = "/api/account/sessions"
    while address is not None:
        answer = await client.get(address)
        listed = answer.json()
        assert len(listed) <= 51
        assert [each["current"] for each in listed].count(True) == (not found)
        assert found or listed[0]["current"]
        found += [each["id"] for each in listed]
        address = answer.links["next"]["url"] if "next" in answer.links else None
    assert len(found) == len(set(found)) == 121
    page = (await client.get("/account/devices?offset=50")).text
    assert page.count("end?key=") in {49, 50}
    assert "offset=100" in page
    for wrong in ("-1", "x", "٣", "1e3", "9999999"):
        refused = await client.get("/api/account/sessions", params={"offset": wrong})
        assert (refused.status_code, refused.json()["field"]) == (400, "offset")
