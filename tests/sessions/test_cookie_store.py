"""Sessions whole in the cookie, in Flask's own format: a real Flask reads them, and the other way round."""

import json
import zlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous import URLSafeTimedSerializer
from itsdangerous.encoding import base64_encode
from markupsafe import Markup
from starlette.types import Scope

from app.sessions.flask_format import FlaskCookies, TaggedJson
from app.settings import Settings
from app.web.cookies import CookieTooLarge
from tests.helpers.cast import PASSWORD, Cast, make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running
from tests.helpers.valkey import Valkey
from tests.sessions.opened import HTTPS, check, committed, data_of, opened, scope_of, session_of
from tests.sessions.real_flask import RealFlask
from tests.sessions.test_data import DATA

KEY = "a key that a Flask app shares with us"
DAY = 86_400
EVERY_TYPE: dict[str, Any] = {
    "text": "Grüße, 世界 🌍",
    "numbers": [0, -1, 2**53, 1.5, True, False, None],
    "nested": {"a": {"b": [{"c": []}]}},
    "tuple": (1, (2, [3, (4,)])),
    "bytes": bytes(range(256)),
    "uuid": UUID(int=2**127 + 1),
    "markup": Markup("<b>bold</b>"),
    "moment": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "escaped": {" t": [1]},
    "escaped twice": {" di": {" u": "x"}},
    "all of them": [(b"", UUID(int=0), Markup("&amp;")), {" b": {"x": (b"y",)}}],
    "long": "x" * 2000,
}


@pytest.fixture
async def service(make_settings: Callable[..., Settings], clock: Clock) -> AsyncIterator[Running]:
    async with running(make_settings(session_store="cookie", secret_key=KEY), clock) as service:
        yield service


def value_of(cookie: str) -> str:
    return cookie.partition("=")[2]


def ours(value: str) -> str:
    return f"__Host-tallygate={value}"


async def test_flask_reads_our_cookie(service: Running, cast: Cast, clock: Clock) -> None:
    scope, session = await session_of(service, await opened(service, cast.bob))
    session.data.update(EVERY_TYPE)
    found = RealFlask(KEY).data(value_of(await committed(service, scope)))
    own = {"user": cast.bob.id, "created": clock(), "seen": clock(), "how": "password"}
    assert found == EVERY_TYPE | own | {"auth_time": clock(), "amr": ""}
    assert isinstance(found["markup"], Markup)


async def test_flask_cookie_is_read(service: Running, cast: Cast, clock: Clock) -> None:
    begun = RealFlask(KEY).data(value_of(await opened(service, cast.bob)))
    cookie = ours(RealFlask(KEY).cookie(begun | EVERY_TYPE))
    assert await check(service, cookie) == 200
    assert await data_of(service, cookie) == EVERY_TYPE


async def test_flask_cookie_is_rewritten_unchanged(make_settings: Callable[..., Settings]) -> None:
    async with running(make_settings(session_store="cookie", secret_key=KEY)) as service:
        user = (await make_cast(service)).bob
        begun = RealFlask(KEY).data(value_of(await opened(service, user)))
        begun["seen"] -= 60
        scope, session = await session_of(service, ours(RealFlask(KEY).cookie(begun | EVERY_TYPE)))
        found = RealFlask(KEY).data(value_of(await committed(service, scope)))
        assert found == begun | EVERY_TYPE | {"seen": int(session.seen)}
        assert found["seen"] > begun["seen"]
        assert isinstance(found["markup"], Markup)


@pytest.fixture(scope="module")
def flask() -> RealFlask:
    return RealFlask(KEY)


@settings(max_examples=60)
@given(data=DATA.filter(bool))
def test_our_cookie_equals_flasks(flask: RealFlask, data: dict[str, Any]) -> None:
    """Up to the time and the signature."""
    mine = FlaskCookies([KEY])
    theirs, own = flask.cookie(data), mine.dumps(data)
    assert flask.data(own) == data
    assert mine.loads(theirs) == data
    assert theirs.rsplit(".", 2)[0] == own.rsplit(".", 2)[0]


def test_a_moment_without_time_zone_is_utc_as_in_flask() -> None:
    moment = EVERY_TYPE["moment"]
    naive = {"moment": moment.replace(tzinfo=None)}
    assert RealFlask(KEY).data(FlaskCookies([KEY]).dumps(naive)) == {"moment": moment}
    assert FlaskCookies([KEY]).loads(RealFlask(KEY).cookie(naive)) == {"moment": moment}


def test_text_that_needs_no_escaping_needs_none_here_either() -> None:
    found = TaggedJson.loads(TaggedJson.dumps(Markup("<b>")))
    assert Markup("{} {}").format(found, "<") == "<b> &lt;"


def test_keys_rotate_as_in_flask() -> None:
    old, new = RealFlask("old"), RealFlask("new", "old")
    assert FlaskCookies(["old", "new"]).loads(old.cookie({"a": 1})) == {"a": 1}
    assert new.data(FlaskCookies(["old"]).dumps({"a": 1})) == {"a": 1}
    assert old.data(FlaskCookies(["old", "new"]).dumps({"a": 1})) == {}


async def test_cookie_session_stores_nothing_in_redis(service: Running, cast: Cast, server: Valkey) -> None:
    cookie = await opened(service, cast.bob)
    assert await check(service, cookie) == 200
    with server.client as client:
        assert not [key for key in client.keys("*") if b"session" in key]


async def test_cookie_session_has_the_same_timeouts(service: Running, cast: Cast, clock: Clock) -> None:
    cookie = await opened(service, cast.bob)
    clock.move(14 * DAY - 1)
    assert await check(service, cookie) == 200
    clock.move(1)
    assert await check(service, cookie) == 401


async def test_cookie_session_is_renewed_once_a_minute(service: Running, cast: Cast, clock: Clock) -> None:
    client = await signed_in(service, "bob", base_url=HTTPS)
    renewed = 0
    for _ in range(12):
        clock.move(20)
        answer = await client.get("/api/session")
        renewed += "set-cookie" in answer.headers
        assert answer.status_code == 200
    assert renewed == 4
    begun = clock() - 240
    while (await client.get("/api/session")).status_code == 200:
        clock.move(DAY)
    assert 89 * DAY < clock() - begun <= 91 * DAY


async def test_cookie_from_the_future_is_refused(service: Running, cast: Cast, clock: Clock) -> None:
    cookie = await opened(service, cast.bob)
    clock.move(-59)
    assert await check(service, cookie) == 200
    clock.move(-1)
    assert await check(service, cookie) == 401


@pytest.mark.parametrize("stamp", [b"", b"A", b"____", b"_" * 40])
async def test_malformed_signing_time_is_refused(service: Running, clock: Clock, stamp: bytes) -> None:
    serializer = FlaskCookies([KEY], clock=clock)._serializer
    signer: Any = serializer.make_signer("cookie-session")
    value = b"e30." + stamp
    assert await check(service, ours((value + b"." + signer.get_signature(value)).decode())) == 401


async def test_cookie_session_cannot_be_revoked_and_says_so(service: Running, cast: Cast) -> None:
    client = await signed_in(service, "bob", base_url=HTTPS)
    cookie = "; ".join(f"{each.name}={each.value}" for each in client.cookies.jar)
    assert not service.state["sessions"].revocable
    assert (await client.get("/api/account/sessions")).json() == []
    assert await service.state["sessions"].end_all(cast.bob.id) == 0
    assert (await client.delete("/api/session")).status_code == 204
    assert (await client.get("/api/session")).status_code == 401
    assert await check(service, cookie) == 200  # the price of this store


async def test_disabled_user_is_refused_with_a_cookie_session(service: Running, cast: Cast) -> None:
    cookie = await opened(service, cast.bob)
    await service.state["accounts"].set_disabled(cast.bob.id, True)
    assert await check(service, cookie) == 401


async def test_session_too_large_for_a_cookie_raises(service: Running, cast: Cast) -> None:
    cookie = await opened(service, cast.bob)
    scope, session = await session_of(service, cookie)
    session.data["random"] = [f"{number * 7919 % 65_537}" for number in range(2000)]
    with pytest.raises(CookieTooLarge, match=r"the cookie tallygate would have \d+ bytes; browsers keep 4096 at most"):
        await committed(service, scope)
    assert await committed(service, scope) == ""
    assert await data_of(service, cookie) == {}


async def test_request_with_a_too_large_session_is_answered(service: Running, cast: Cast) -> None:
    cookie = await opened(service, cast.bob)

    async def handler(scope: Scope, receive: Any, send: Any) -> None:
        session = await service.state["sessions"].open(scope)
        session.data["random"] = [f"{number * 7919 % 65_537}" for number in range(2000)]
        await send({"type": "http.response.start", "status": 200, "headers": []})

    edge: Any = service.app
    edge._app = handler
    answer = await service.another_client(base_url=HTTPS, headers={"Cookie": cookie}).get("/")
    assert answer.status_code == 500
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("name", ["user", "created", "seen", "how"])
async def test_reserved_session_keys_are_refused(service: Running, cast: Cast, name: str) -> None:
    scope, session = await session_of(service, await opened(service, cast.bob))
    session.data[name] = cast.alice.id
    with pytest.raises(TypeError, match=name):
        await committed(service, scope)


async def test_a_changed_password_goes_on_with_the_same_data(service: Running, cast: Cast) -> None:
    scope, session = await session_of(service, await opened(service, cast.bob))
    session.data["basket"] = ["apple"]
    again = scope_of(await committed(service, scope))
    await service.state["sessions"].begin(again, cast.bob.id, "password")
    assert await data_of(service, await committed(service, again)) == {"basket": ["apple"]}


async def test_flash_message_shows_once(service: Running, cast: Cast) -> None:
    client = service.another_client(base_url=HTTPS)
    await client.post("/sign-in", data={"username": "bob", "password": PASSWORD})
    assert "You are signed in." in (await client.get("/")).text
    assert "You are signed in." not in (await client.get("/")).text


SIGNED_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["user", "created", "seen", "how", " t", " u", " b", " m", " d", " di", "x", ""]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=100)
@given(value=SIGNED_JSON)
async def test_signed_value_that_is_no_session_is_refused(
    service: Running, cast: Cast, clock: Clock, value: Any
) -> None:
    full = {"user": cast.bob.id, "created": clock(), "seen": clock(), "how": "password", "more": value}
    for data, allowed in ((value, {401}), (full, {200, 401})):
        assert await check(service, ours(signed(clock, json.dumps(data).encode()))) in allowed


def signed(clock: Clock, payload: bytes) -> str:
    """Any bytes as the payload of a cookie with a good signature."""
    serializer = FlaskCookies([KEY], clock=clock)._serializer
    return serializer.make_signer("cookie-session").sign(base64_encode(payload)).decode()


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{", b"\xff", b"null", b"[]", b"1", b'{"a":' * 500 + b"1" + b"}" * 500, b"[" * 100_000,
        b'{"user":"x","created":1e999,"seen":1e999,"how":""}', b'{" t":1}', b'{" u":"x"}', b'{" b":"x"}',
        b'{" d":"yesterday"}', b'{" d":"Mon, 01 Jan 0001 00:00:00 +2359"}', b'{" di":[]}', b'{" di":{}}', b'{" m":{}}',
    ],
)  # fmt: skip
async def test_malformed_payload_is_refused(service: Running, clock: Clock, payload: bytes) -> None:
    assert await check(service, ours(signed(clock, payload))) == 401


async def test_malformed_compressed_payload_is_refused(service: Running, clock: Clock) -> None:
    serializer: URLSafeTimedSerializer = FlaskCookies([KEY], clock=clock)._serializer
    for raw in (b"not zlib", zlib.compress(b"{"), zlib.compress(b"[" * 100_000)):
        value = serializer.make_signer("cookie-session").sign(b"." + base64_encode(raw)).decode()
        assert await check(service, ours(value)) == 401


async def test_one_service_with_each_store_can_share_a_redis(
    make_settings: Callable[..., Settings], clock: Clock
) -> None:
    async with running(make_settings(session_store="cookie", secret_key=KEY), clock) as service:
        cookie = await opened(service, (await make_cast(service)).bob)
        async with running(make_settings(secret_key=KEY), clock) as other:
            assert await check(other, cookie) == 401
        assert await check(service, cookie) == 200
