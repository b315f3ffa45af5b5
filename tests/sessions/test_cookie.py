"""The session cookie: what is set, and that nothing else passes for one."""

import re
from collections.abc import AsyncIterator, Callable
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous import Signer

from app.sessions.signing import StrictSigner, signing_keys
from app.settings import Settings
from tests.helpers.cast import PASSWORD, Cast, signed_in
from tests.helpers.service import Running, running
from tests.helpers.valkey import Valkey
from tests.sessions.opened import HTTPS, asked, check, opened

HTTP = "http://tallygate.test"
AS_BOB = {"username": "bob", "password": PASSWORD}
EVERYWHERE = ["/", "/sign-in", "/sign-up", "/account", "/admin/users", "/api/visits", "/api/session", "/api/account",
              "/api", "/api/openapi.json", "/live", "/ready", "/nowhere"]  # fmt: skip


async def set_cookies(service: Running, url: str) -> list[str]:
    answer = await service.another_client(base_url=url).post("/api/session", json=AS_BOB)
    assert answer.status_code == 200
    lines = answer.headers.get_list("set-cookie")
    return [line for line in lines if "tallygate_device=" not in line]


async def test_over_https_the_cookie_can_be_set_by_this_host_alone_and_read_by_no_script(
    service: Running, cast: Cast
) -> None:
    (line,) = await set_cookies(service, HTTPS)
    value, *attributes = line.split("; ")
    assert value.startswith("__Host-tallygate=")
    assert sorted(attributes) == ["HttpOnly", "Max-Age=7776000", "Path=/", "SameSite=Lax", "Secure"]


async def test_over_plain_http_it_has_no_prefix_and_is_not_secure(service: Running, cast: Cast) -> None:
    (line,) = await set_cookies(service, HTTP)
    value, *attributes = line.split("; ")
    assert value.startswith("tallygate=")
    assert sorted(attributes) == ["HttpOnly", "Max-Age=7776000", "Path=/", "SameSite=Lax"]


async def test_plain_http_cookie_is_ignored_over_https(service: Running, cast: Cast) -> None:
    """Over plain HTTP anybody on the way can plant it."""
    plain = await opened(service, cast.bob, scheme="http")
    assert await check(service, plain, HTTP) == 200
    assert await check(service, plain, HTTPS) == 401
    assert await check(service, f"__Host-{plain}", HTTP) == 401
    assert await check(service, plain, HTTP) == 200


async def test_the_cookie_has_the_name_of_the_setting(make_settings: Callable[..., Settings], cast: Cast) -> None:
    async with running(make_settings(session_cookie="crumb")) as service:
        (line,) = await set_cookies(service, HTTPS)
        assert line.startswith("__Host-crumb=")
        assert await check(service, line.partition(";")[0]) == 200


async def test_an_id_is_random_and_the_store_holds_only_its_hash(service: Running, cast: Cast, server: Valkey) -> None:
    ids = {re.split("[=.]", await opened(service, cast.bob))[1] for _ in range(20)}
    assert len(ids) == 20
    assert all(re.fullmatch(r"[\w-]{32}", each, re.ASCII) for each in ids)  # 192 bits
    with server.client as client:
        stored = "".join(f"{key} {client.dump(key)}" for key in client.keys("*"))
    assert stored.count("session:") >= 20
    assert not any(each in stored for each in ids)


async def test_unknown_session_id_is_not_adopted(
    service: Running, cast: Cast, make_settings: Callable[..., Settings], server: Valkey
) -> None:
    keys = signing_keys(make_settings())
    signed = StrictSigner(keys, "tallygate.session", digest_method=sha256)
    unknown = [
        "x" * 32,
        "x" * 32 + "." + "x" * 43,
        Signer(keys).sign("x" * 32).decode(),
        StrictSigner(["another key"], "tallygate.session", digest_method=sha256).sign("x" * 32).decode(),
        signed.sign("x" * 32).decode(),  # even where the key has leaked
    ]
    for value in unknown:
        cookie = f"__Host-tallygate={value}"
        assert await check(service, cookie) == 401
        client = service.another_client(base_url=HTTPS, headers={"Cookie": cookie})
        answer = await client.post("/api/session", json=AS_BOB)
        assert value not in answer.headers["set-cookie"]
        assert await check(service, cookie) == 401
    with server.client as client_of_valkey:
        assert len(list(client_of_valkey.scan_iter("session:*"))) == len(unknown)


async def test_anonymous_request_sets_no_cookie(service: Running, cast: Cast) -> None:
    client = service.another_client(base_url=HTTPS)
    for path in EVERYWHERE:
        for accept in ("text/html", "application/json"):
            answer = await client.get(path, headers={"Accept": accept})
            assert "set-cookie" not in answer.headers, path
    wrong = await client.post("/api/session", json=AS_BOB | {"password": "wrong"})
    assert wrong.status_code == 401
    assert "set-cookie" not in wrong.headers


async def test_cookie_header_fits_browser_limits(service: Running, cast: Cast) -> None:
    client = service.another_client(base_url=HTTPS, headers={"User-Agent": "Firefox Linux " + "x" * 30_000})
    lines = (await client.post("/api/session", json=AS_BOB)).headers.get_list("set-cookie")
    for _ in range(3):
        form = {"username": "bob", "password": PASSWORD, "next": "/" + "n" * 2000}
        lines += (await client.post("/sign-in", data=form)).headers.get_list("set-cookie")
        lines += (await client.post("/account", data={"locale": "zh"})).headers.get_list("set-cookie")
    lines += (await client.post("/sign-out")).headers.get_list("set-cookie")
    assert len(lines) >= 5
    assert all(len(line) <= 4096 for line in lines)


async def test_doubled_session_cookie_is_ignored(service: Running, cast: Cast) -> None:
    bobs, charlies = await opened(service, cast.bob), await opened(service, cast.charlie)
    for _ in range(2):  # not when this worker has seen them, either
        assert await check(service, bobs) == 200
        assert await check(service, charlies) == 200
        assert await check(service, f"{bobs}; {charlies}") == 401
        assert await check(service, f"{bobs}; {bobs}") == 401
        assert await check(service, f"{bobs}; __Host-tallygate=") == 401
        for cookies in ([bobs, charlies], [charlies, bobs], [bobs, bobs], [bobs, "__Host-tallygate=x"]):
            assert (await asked(service, cookies)).status_code == 401


async def test_cookies_in_several_headers_are_read_as_one(service: Running, cast: Cast) -> None:
    """HTTP/2 may split them."""
    cookie = await opened(service, cast.bob)
    for _ in range(2):
        assert (await asked(service, ["a=1", cookie, "b=2"])).status_code == 200
        home = await asked(service, ["a=1", cookie, "b=2"], path="/")
        assert "bob" in home.text


@pytest.mark.parametrize(
    "name",
    ["\xa0__Host-tallygate", "__Host-tallygate ", "__host-tallygate", "__Host-tallygate\x00", '"__Host-tallygate"',
     "$__Host-tallygate", "%5F_Host-tallygate", "__Secure-tallygate", "tallygate", "__Host-tallygate[0]"],
)  # fmt: skip
async def test_similar_cookie_name_is_ignored(service: Running, cast: Cast, name: str) -> None:
    cookie = await opened(service, cast.bob)
    planted = f"{name}={(await opened(service, cast.charlie)).partition('=')[2]}"
    assert await check(service, planted) == 401
    answer = await asked(service, [f"{planted}; {cookie}; {planted}"])
    assert answer.json()["user"]["name"] == "bob"


async def test_changed_cookie_is_refused(service: Running, cast: Cast) -> None:
    cookie = await opened(service, cast.bob)
    start = len("__Host-tallygate=")
    for place in range(start, len(cookie)):
        for other in ("A", "B", chr(ord(cookie[place]) ^ 1)):
            if other != cookie[place]:
                assert await check(service, cookie[:place] + other + cookie[place + 1 :]) == 401, place
    assert await check(service, cookie[:-1]) == 401
    assert await check(service, cookie + "=") == 401
    assert await check(service, cookie + "!") == 401
    assert await check(service, f'{cookie[:start]}"{cookie[start:]}"') == 401
    assert await check(service, cookie) == 200


ANY_BYTES = st.binary(max_size=300).map(lambda raw: raw.decode("latin-1"))
PIECES = st.sampled_from([
    "__Host-tallygate", "tallygate", "=", ";", "; ", ",", ".", '"', "\x00", "\r", "\xff", "%00", "%", "é", "\\", " ",
    "x" * 32, "A" * 43, "." * 50, "eyJ1IjoiYm9iIn0", "session=", "user=2|1:0|", "-", "$Version=1", "{", "null",
])  # fmt: skip
GARBAGE = st.one_of(ANY_BYTES, st.lists(PIECES, max_size=12).map("".join), ANY_BYTES.map("__Host-tallygate={}".format))


@pytest.fixture
async def places(service: Running, cast: Cast, make_settings: Callable[..., Settings]) -> AsyncIterator[list[Running]]:
    """The service, the same with its sessions in cookies, and one that reads the cookies of old apps, too."""
    async with (
        running(make_settings(session_store="cookie")) as in_cookies,
        running(make_settings(legacy_flask_secret="flask", legacy_tornado_secret="tornado")) as moving,
    ):
        yield [service, in_cookies, moving]


@pytest.mark.slow
@settings(max_examples=200)
@given(value=GARBAGE)
async def test_garbage_cookie_is_ignored(places: list[Running], value: str) -> None:
    for place in places:
        answer = await asked(place, [value])
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        assert (await asked(place, [value], path="/account")).status_code == 303


@pytest.mark.parametrize("length", [4_096, 10_000, 60_000])
async def test_huge_cookie_is_ignored(service: Running, cast: Cast, length: int) -> None:
    cookie = await opened(service, cast.bob)
    assert await check(service, f"__Host-tallygate={'x' * length}") == 401
    assert await check(service, f"{cookie}{'x' * length}") == 401
    assert await check(service, f"{'other=x; ' * (length // 9)}{cookie}") == 200


async def test_cookie_headers_use_bounded_memory(service: Running, cast: Cast) -> None:
    cookie = await opened(service, cast.bob)
    known = service.state["sessions"]._known
    for number in range(50):
        await check(service, f"a={number}")
        await check(service, f"__Host-tallygate={number}")
        await check(service, f"{cookie}; a={'x' * 5000}{number}")
    assert sum(map(len, known)) == 0
    assert await check(service, cookie) == 200
    assert sum(map(len, known)) == 1


async def test_a_browser_that_signs_in_stays_signed_in(service: Running, cast: Cast) -> None:
    for url in (HTTP, HTTPS):
        client = await signed_in(service, "bob", base_url=url)
        assert (await client.get("/api/session")).json()["user"]["name"] == "bob"
