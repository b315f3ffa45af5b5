"""Moving over: who was signed in with the old Flask app or Tornado site stays so, with a session of ours."""

import asyncio
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from tornado.web import create_signed_value

from app.audit.log import Event
from app.settings import Settings
from tests.helpers.cast import PASSWORD, Cast
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running
from tests.sessions.opened import HTTPS, asked, check, opened
from tests.sessions.real_flask import RealFlask
from tests.sessions.real_tornado import tornado_cookie

FLASK, TORNADO = "the old Flask app's key", "the old Tornado site's secret"
DAY = 86_400


@pytest.fixture
async def service(make_settings: Callable[..., Settings]) -> AsyncIterator[Running]:
    """On the real clock, by which the old apps have signed."""
    async with running(make_settings(legacy_flask_secret=FLASK, legacy_tornado_secret=TORNADO)) as service:
        yield service


def from_flask(**data: Any) -> str:
    return f"session={RealFlask(FLASK).cookie(data)}"


def from_tornado(value: str | bytes, secret: Any = TORNADO, name: str = "user", **options: Any) -> str:
    return f'user="{create_signed_value(secret, name, value, **options).decode()}"'


async def the_old_cookie(app: str, user: str = "bob", device: int = 1) -> str:
    if app == "flask":
        return from_flask(user=user, basket=[1, 2][:device])
    return f"user={await tornado_cookie(TORNADO, json.dumps(user) + ' ' * device)}"


@pytest.fixture(params=["flask", "tornado"])
def app(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def browser_with(service: Running, cookie: str) -> httpx.AsyncClient:
    """A browser that has this cookie of the old app."""
    client = service.another_client(base_url=HTTPS)
    name, _, value = cookie.partition("=")
    client.cookies.set(name, value, domain="tallygate.test", path="/")
    return client


async def test_legacy_cookie_becomes_a_session_and_is_deleted(service: Running, cast: Cast, app: str) -> None:
    browser = browser_with(service, await the_old_cookie(app))
    answer = await browser.get("/api/session")
    assert answer.json()["user"]["name"] == "bob"
    assert sorted(line.partition("=")[0] for line in answer.headers.get_list("set-cookie")) == sorted(
        ["__Host-tallygate", {"flask": "session", "tornado": "user"}[app]]
    )
    assert [cookie.name for cookie in browser.cookies.jar] == ["__Host-tallygate"]
    answer = await browser.get("/api/account/sessions")
    (session,) = answer.json()
    assert (session["how"], session["current"]) == (app, True)
    assert "set-cookie" not in answer.headers


async def test_legacy_sign_in_is_audited(service: Running, cast: Cast, app: str) -> None:
    cookie = await the_old_cookie(app)
    answer = await asked(service, [cookie])
    await asked(service, [cookie])
    (entry,) = (await service.state["audit"].page()).entries
    assert (entry.event, entry.user, entry.address, entry.detail) == (
        Event.LEGACY_SIGN_IN,
        cast.bob.id,
        "192.0.2.1",
        app,
    )
    assert entry.request_id == answer.headers["x-request-id"]


async def test_legacy_cookie_opens_a_page(service: Running, cast: Cast, app: str) -> None:
    browser = browser_with(service, await the_old_cookie(app))
    assert "bob" in (await browser.get("/account")).text


async def test_legacy_cookie_is_no_reauthentication(service: Running, cast: Cast, app: str) -> None:
    browser = browser_with(service, await the_old_cookie(app))
    assert (await browser.get("/api/session")).status_code == 200
    answer = await browser.post("/account/identities/unlink", data={"id": "x"})
    assert answer.status_code == 401
    assert "Confirm it's you" in answer.text


async def test_legacy_cookie_works_once(
    service: Running, cast: Cast, app: str, make_settings: Callable[..., Settings]
) -> None:
    cookie = await the_old_cookie(app)
    browser = browser_with(service, cookie)
    assert (await browser.get("/api/session")).status_code == 200
    async with running(make_settings(legacy_flask_secret=FLASK, legacy_tornado_secret=TORNADO)) as elsewhere:
        for place in (service, elsewhere):
            replayed = await asked(place, [cookie])
            assert replayed.status_code == 401
            assert "set-cookie" not in replayed.headers
    assert (await browser.delete("/api/session")).status_code == 204
    assert await check(service, cookie) == 401


async def test_of_many_requests_at_once_one_gets_the_session(service: Running, cast: Cast, app: str) -> None:
    cookie = await the_old_cookie(app)
    answers = await asyncio.gather(*(asked(service, [cookie]) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 9
    assert len(await service.state["sessions"].of_user(cast.bob.id)) == 1


async def test_legacy_cookie_cannot_be_replayed_in_another_encoding(service: Running, cast: Cast, app: str) -> None:
    cookie = await the_old_cookie(app)
    assert await check(service, cookie) == 200
    plain = cookie.replace('"', "")
    other = plain[:-1] + chr(ord(plain[-1]) ^ 1)
    for spelling in (plain, f"{plain}=", f"{plain}!", other, plain.replace("=", '="', 1) + '"', plain.upper()):
        assert await check(service, spelling) == 401


async def test_legacy_cookie_is_kept_beside_a_session(service: Running, cast: Cast, app: str) -> None:
    cookie = await the_old_cookie(app)
    charlies = await opened(service, cast.charlie)
    both = await asked(service, [f"{cookie}; {charlies}"])
    assert (both.json()["user"]["name"], "set-cookie" in both.headers) == ("charlie", False)
    assert await check(service, cookie) == 200


async def test_legacy_cookie_of_an_unknown_user_is_ignored(service: Running, cast: Cast, app: str) -> None:
    cookie = await the_old_cookie(app, "dave")
    answer = await asked(service, [cookie])
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    await service.state["accounts"].create("dave", None)
    assert await check(service, cookie) == 200


async def test_ending_all_sessions_ends_legacy_cookies(service: Running, cast: Cast, app: str) -> None:
    browser = browser_with(service, await the_old_cookie(app))
    proof = {"confirm_password": PASSWORD}
    assert (await browser.post("/account/devices/end-others", data=proof)).status_code == 303
    assert await check(service, await the_old_cookie(app, device=2)) == 401
    assert await check(service, await the_old_cookie(app, "charlie")) == 200


async def test_a_disabled_user_stays_signed_out(service: Running, cast: Cast, app: str) -> None:
    cookie = await the_old_cookie(app)
    await service.state["accounts"].set_disabled(cast.bob.id, True)
    answer = await asked(service, [cookie])
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert await service.state["sessions"].of_user(cast.bob.id) == []


async def test_legacy_names_are_compared_as_at_sign_in(service: Running, cast: Cast, app: str) -> None:
    assert (await asked(service, [await the_old_cookie(app, "BOB")])).json()["user"]["name"] == "bob"


async def test_a_cookie_that_was_tampered_with_is_refused(service: Running, cast: Cast, app: str) -> None:
    cookie = await the_old_cookie(app)
    start = cookie.index("=") + 1
    for place in range(start, len(cookie)):
        other = cookie[:place] + ("A" if cookie[place] != "A" else "B") + cookie[place + 1 :]
        if cookie[place] != '"':
            assert await check(service, other) == 401, place
    for length in (2, 5, 20, 40):
        assert await check(service, cookie[:-length]) == 401
    assert await check(service, f"{cookie}; {cookie}") == 401
    assert await check(service, cookie) == 200


async def test_a_cookie_of_another_key_is_refused(service: Running, cast: Cast) -> None:
    assert await check(service, f"session={RealFlask('another').cookie({'user': 'bob'})}") == 401
    assert await check(service, from_tornado("bob", secret="another")) == 401
    assert await check(service, f"session={RealFlask(TORNADO).cookie({'user': 'bob'})}") == 401


async def test_an_old_apps_cookie_is_refused_when_it_is_too_old(
    make_settings: Callable[..., Settings], cast: Cast, clock: Clock, app: str
) -> None:
    cookies = [await the_old_cookie(app) for _ in range(2)]
    settings = make_settings(legacy_flask_secret=FLASK, legacy_tornado_secret=TORNADO)
    async with running(settings, clock) as service:
        clock.now = time.time() + 31 * DAY - 60
        assert await check(service, cookies[0]) == 200
        clock.move(120)
        assert await check(service, cookies[1]) == 401


async def test_tornados_version_1_is_refused(service: Running, cast: Cast) -> None:
    """It stands on SHA-1; Tornado itself still reads it."""
    assert await check(service, from_tornado("bob", version=1)) == 401
    assert await check(service, from_tornado("bob", version=2)) == 200


async def test_a_tornado_cookie_of_another_name_is_refused(service: Running, cast: Cast) -> None:
    assert await check(service, from_tornado("bob", name="remembered")) == 401


@pytest.mark.parametrize(
    "fields",
    [
        "", "|", "1:0|", "1:0|1:1|4:user|4:Ym9i|1:x|", "1:0|{time}|4:user|5:Ym9i|", "1:0|{time}|4:user|Ym9i|",
        "1:0|{time}|4:user|999999:Ym9i|", "1:0|{time}|4:user|-4:Ym9i|", "1:0|1:x|4:user|4:Ym9i|",
        "1:0|{time}|4:user|3:Ym9|", "1:0|{time}|4:user|4:Ym!i|",
        "1:0|5000:" + "9" * 5000 + "|4:user|4:Ym9i|", "1:0|{time}|4:user|4:Ym9i",
    ],
)  # fmt: skip
async def test_malformed_tornado_cookie_is_ignored(service: Running, cast: Cast, fields: str) -> None:
    stamp = str(int(time.time()))
    text = "2|" + fields.replace("{time}", f"{len(stamp)}:{stamp}")
    signature = hmac.new(TORNADO.encode(), text.encode(), "sha256").hexdigest()
    assert await check(service, f"user={text}{signature}") == 401
    good = f"2|1:0|{len(stamp)}:{stamp}|4:user|4:Ym9i|"
    signature = hmac.new(TORNADO.encode(), good.encode(), "sha256").hexdigest()
    assert await check(service, f"user={good}{signature}") == 200


async def test_tornado_key_versions_are_accepted(service: Running, cast: Cast) -> None:
    assert await check(service, from_tornado("bob", secret={1: "first", 2: TORNADO}, key_version=2)) == 200


@pytest.mark.parametrize("value", ["bob", '"bob"', '{"user": "bob", "more": [1]}', "Bob", '"\\u0062ob"'])
async def test_tornado_cookie_formats_are_read(service: Running, cast: Cast, value: str) -> None:
    assert await check(service, from_tornado(value)) == 200


@pytest.mark.parametrize(
    "value", [b"\xff", "", '""', "null", "true", "1", "[]", '["bob"]', "{}", '{"user": 1}', '{"user": null}',
              '{"name": "bob"}', "[" * 2000, '"bob', "bob ob", "9" * 5000],
)  # fmt: skip
async def test_legacy_value_that_is_no_name_is_ignored(service: Running, cast: Cast, value: str | bytes) -> None:
    assert await check(service, from_tornado(value)) == 401


@pytest.mark.parametrize(
    "data", [{}, {"user": None}, {"user": 1}, {"user": ["bob"]}, {"user": b"bob"}, {"user": ""}, {"name": "bob"}]
)
async def test_flask_session_without_a_name_is_ignored(service: Running, cast: Cast, data: dict[str, Any]) -> None:
    assert await check(service, from_flask(**data, other=1)) == 401


async def test_a_flask_session_without_a_name_does_not_hide_a_tornado_cookie(service: Running, cast: Cast) -> None:
    assert await check(service, f"{from_flask(other=1)}; {from_tornado('bob')}") == 200


async def test_legacy_cookie_and_key_names_are_settings(make_settings: Callable[..., Settings], cast: Cast) -> None:
    names = {"legacy_cookie": "old", "legacy_user_key": "_user_id"}
    flask = f"old={RealFlask(FLASK).cookie({'_user_id': 'bob', 'user': 'alice'})}"
    tornado = create_signed_value(TORNADO, "old", json.dumps({"_user_id": "bob"})).decode()
    for changes, cookie in (
        ({"legacy_flask_secret": FLASK}, flask),
        ({"legacy_tornado_secret": TORNADO}, f"old={tornado}"),
    ):
        async with running(make_settings(**names, **changes)) as service:
            assert (await asked(service, [cookie])).json()["user"]["name"] == "bob"


async def test_legacy_cookie_without_the_secret_is_ignored(
    make_settings: Callable[..., Settings], cast: Cast, app: str
) -> None:
    async with running(make_settings()) as service:
        assert await check(service, await the_old_cookie(app)) == 401


async def test_our_cookie_may_have_the_legacy_name(make_settings: Callable[..., Settings], cast: Cast) -> None:
    async with running(make_settings(legacy_flask_secret=FLASK, session_cookie="session")) as service:
        ours = await asked(service, [from_flask(user="bob")], url="http://tallygate.test")
        (line,) = ours.headers.get_list("set-cookie")
        assert "Max-Age=0" not in line
        assert await check(service, line.partition(";")[0], "http://tallygate.test") == 200


async def test_the_cookie_store_adopts_a_legacy_cookie_once(
    make_settings: Callable[..., Settings], cast: Cast, app: str
) -> None:
    cookie = await the_old_cookie(app)
    settings = make_settings(legacy_flask_secret=FLASK, legacy_tornado_secret=TORNADO, session_store="cookie")
    async with running(settings) as service, running(settings) as elsewhere:
        answers = await asyncio.gather(*(asked(place, [cookie]) for place in (service, elsewhere) * 3))
        assert sorted(answer.status_code for answer in answers) == [200] + [401] * 5
        for place in (service, elsewhere):
            replayed = await asked(place, [cookie])
            assert replayed.status_code == 401
            assert "set-cookie" not in replayed.headers
