"""What an application keeps in a session: nothing of it is lost without a word."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Scope

from app.sessions.session import flash, take_flash
from app.settings import Settings
from tests.helpers.cast import Cast, make_cast
from tests.helpers.service import Running, running
from tests.helpers.valkey import Valkey
from tests.sessions.opened import check, committed, data_of, opened, scope_of, session_of

Change = Callable[[dict[str, Any]], Any]
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BASKET = {"basket": {"items": [{"name": "apple", "sizes": [1, 2]}], "note": ""}}


async def changed(service: Running, cookie: str, change: Change) -> str:
    """A request that changes the data; the cookie from then on."""
    scope, session = await session_of(service, cookie)
    change(session.data)
    return await committed(service, scope) or cookie


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["basket"]["items"].append("pear"),
        lambda data: data["basket"]["items"][0]["sizes"].append(3),
        lambda data: data["basket"]["items"][0].pop("sizes"),
        lambda data: data["basket"].update(note="a gift"),
        lambda data: data.pop("basket"),
        lambda data: data.clear(),
        lambda data: data.update(more={}, empty="", nothing=None, no=False, zero=0),
    ],
)
@pytest.mark.parametrize("session_store", ["redis", "cookie"])
async def test_nested_change_is_stored(
    make_settings: Callable[..., Settings], session_store: str, change: Change
) -> None:
    async with running(make_settings(session_store=session_store)) as service:
        cookie = await opened(service, (await make_cast(service)).bob)
        cookie = await changed(service, cookie, lambda data: data.update(BASKET | {"other": 1}))
        expected = await data_of(service, cookie)
        assert expected == BASKET | {"other": 1}
        change(expected)
        cookie = await changed(service, cookie, change)
        assert await data_of(service, cookie) == expected


@pytest.mark.parametrize(
    "value",
    [
        {1, 2}, object(), {1: "a"}, {None: 1}, {"a": [{"b": {2: 3}}]}, float("nan"), [b"x", range(3)], 1j,
        MOMENT.replace(tzinfo=None), MOMENT.replace(microsecond=6), MOMENT.replace(year=26),
    ],
)  # fmt: skip
async def test_data_that_json_would_change_is_refused(service: Running, cast: Cast, value: object) -> None:
    cookie = await opened(service, cast.bob)
    scope, session = await session_of(service, cookie)
    session.data["thing"] = value
    with pytest.raises(TypeError):
        await committed(service, scope)
    assert await data_of(service, cookie) == {}
    # The answer that says that something went wrong must not fail for the same reason.
    await committed(service, scope)


async def test_session_keys_are_strings(service: Running, cast: Cast) -> None:
    scope, session = await session_of(service, await opened(service, cast.bob))
    names: dict[Any, Any] = session.data
    names[1] = "one"
    with pytest.raises(TypeError):
        await committed(service, scope)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)
TAGGED = st.one_of(
    st.uuids(),
    st.binary(),
    st.integers(-2_208_988_800, 253_402_300_799).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    st.lists(JSON, max_size=3).map(tuple),
    st.sampled_from([" t", " u", " b", " m", " d", " di"]).map(lambda tag: {tag: "x"}),
)
DATA = st.dictionaries(st.text(st.characters(codec="utf-8")), JSON | TAGGED | st.lists(TAGGED, max_size=3), max_size=5)


@pytest.mark.slow
@settings(max_examples=50)
@given(first=DATA, second=DATA)
async def test_stored_data_comes_back_unchanged(
    service: Running, cast: Cast, first: dict[str, Any], second: dict[str, Any]
) -> None:
    cookie = await opened(service, cast.bob)
    for data in (first, second):
        await changed(service, cookie, lambda kept, data=data: (kept.clear(), kept.update(data)))  # type: ignore[misc]
        assert await data_of(service, cookie) == data


async def test_unstored_change_is_invisible_to_other_requests(service: Running, cast: Cast) -> None:
    cookie = await opened(service, cast.bob)
    await changed(service, cookie, lambda data: data.update(BASKET))
    _, session = await session_of(service, cookie)
    session.data["basket"]["items"].clear()
    session.data["basket"] = None
    assert await data_of(service, cookie) == BASKET
    assert service.state["sessions"].cached(scope_of(cookie), cookie.encode()).data == BASKET


async def test_request_has_one_session(service: Running, cast: Cast) -> None:
    scope, session = await session_of(service, await opened(service, cast.bob))
    assert await service.state["sessions"].open(scope) is session
    begun = await service.state["sessions"].begin(scope, cast.charlie.id, "password")
    assert await service.state["sessions"].open(scope) is begun
    await service.state["sessions"].end(scope)
    assert await service.state["sessions"].open(scope) is None


async def test_concurrent_changes_of_different_keys_are_both_stored(
    service: Running, elsewhere: Running, cast: Cast
) -> None:
    cookie = await opened(service, cast.bob)
    await changed(service, cookie, lambda data: data.update(shared=[1], gone=True))
    one_scope, one = await session_of(service, cookie)
    other_scope, other = await session_of(elsewhere, cookie)
    one.data["one"] = [1]
    del one.data["gone"]
    other.data["other"] = [2]
    await asyncio.gather(committed(service, one_scope), committed(elsewhere, other_scope))
    assert await data_of(service, cookie) == {"shared": [1], "one": [1], "other": [2]}


async def test_concurrent_changes_of_one_key_keep_the_later(service: Running, cast: Cast) -> None:
    cookie = await opened(service, cast.bob)
    (one_scope, one), (other_scope, other) = [await session_of(service, cookie) for _ in range(2)]
    one.data["name"], other.data["name"] = {"a": 1}, {"b": 2}
    await committed(service, other_scope)
    await committed(service, one_scope)
    assert await data_of(service, cookie) == {"name": {"a": 1}}


async def test_reading_data_writes_nothing(service: Running, cast: Cast, server: Valkey) -> None:
    cookie = await opened(service, cast.bob)
    await changed(service, cookie, lambda data: data.update(BASKET))
    with server.client as client:
        before = client.info("commandstats").get("cmdstat_hset", {}).get("calls")
        scope, session = await session_of(service, cookie)
        assert session.data == BASKET
        session.data["basket"] = dict(reversed(BASKET["basket"].items()))
        assert await committed(service, scope) == ""
        assert client.info("commandstats")["cmdstat_hset"]["calls"] == before


async def test_a_message_shows_once(service: Running, elsewhere: Running, cast: Cast) -> None:
    cookie = await opened(service, cast.bob)

    async def shown(place: Running) -> str | None:
        scope, session = await session_of(place, cookie)
        message = take_flash(session)
        await committed(place, scope)
        return message

    for place in (service, elsewhere):
        assert await shown(place) is None
    scope, session = await session_of(service, cookie)
    flash(session, "Saved.")
    await committed(service, scope)
    assert [await shown(service) for _ in range(3)] == ["Saved.", None, None]


async def test_a_request_that_fails_to_store_its_data_is_answered(service: Running, cast: Cast) -> None:
    """The real way of it: through the edge, which asks for the data to be stored as the answer begins."""
    cookie = await opened(service, cast.bob)

    async def handler(scope: Scope, receive: Any, send: Any) -> None:
        session = await service.state["sessions"].open(scope)
        session.data["thing"] = object()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    edge: Any = service.app
    router, edge._app = edge._app, handler
    answer = await service.another_client(base_url="https://tallygate.test", headers={"Cookie": cookie}).get("/")
    edge._app = router
    assert answer.status_code == 500
    assert "Something went wrong" in answer.text
    assert await check(service, cookie) == 200
