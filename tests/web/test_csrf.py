"""Changes that another site asks for in a visitor's name are refused: the browser says where they come from."""

from collections.abc import Callable

import httpx
import pytest
from starlette.routing import Route

from app.routes import all_routes
from app.settings import Settings
from app.web.csrf import SAFE, is_cross_site
from app.web.policy import PolicyRoute
from tests.helpers.cast import PASSWORD, Cast
from tests.helpers.service import Running, running
from tests.sessions.opened import HTTPS, opened

AS_BOB = {"username": "bob", "password": PASSWORD}
FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "Same-Origin"},
    {"Sec-Fetch-Site": ""}, {"Sec-Fetch-Site": "none, cross-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://tallygate.test"},
    {"Origin": "https://evil.test"}, {"Origin": "null"}, {"Origin": ""}, {"Origin": "http://tallygate.test"},
    {"Origin": "https://tallygate.test:8443"}, {"Origin": "https://www.tallygate.test"},
    {"Origin": "https://tallygate.test.evil.test"}, {"Origin": "https://tallygate.test/"},
    {"Origin": "https://tallygate.test@evil.test"}, {"Origin": "//tallygate.test"}, {"Origin": "tallygate.test"},
    {"Origin": "https://tallygate.test, https://evil.test"}, {"Origin": "https://tallygate.test:80"},
]  # fmt: skip
OWN = [
    {}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "https://tallygate.test"},
    {"Origin": "https://tallygate.test:443"}, {"Origin": "https://TALLYGATE.test"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.test"}, {"Referer": "https://evil.test/"},
]  # fmt: skip
CHANGES = sorted({
    (method, route.path.replace("{id}", "x"))
    for route in all_routes()
    if isinstance(route, Route) and not (isinstance(route, PolicyRoute) and route.policy.cross_site)
    for method in (route.methods or set()) - SAFE
})  # fmt: skip


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_cross_site_post_is_refused(service: Running, cast: Cast, headers: dict[str, str]) -> None:
    client = service.another_client(base_url=HTTPS, headers={"Cookie": await opened(service, cast.bob)})
    for method, path in (("POST", "/sign-out"), ("DELETE", "/api/session")):
        answer = await client.request(method, path, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
    stranger = service.another_client(base_url=HTTPS)
    answer = await stranger.post("/api/session", json=AS_BOB, headers=headers)
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert "set-cookie" not in answer.headers
    assert (await client.get("/api/session", headers=headers)).status_code == 200


@pytest.mark.parametrize("headers", OWN, ids=str)
async def test_same_site_and_program_posts_are_accepted(service: Running, cast: Cast, headers: dict[str, str]) -> None:
    client = service.another_client(base_url=HTTPS)
    assert (await client.post("/api/session", json=AS_BOB, headers=headers)).status_code == 200
    assert (await client.post("/sign-out", headers=headers)).status_code == 303
    assert (await client.get("/api/session")).status_code == 401


async def test_every_change_is_protected(service: Running, cast: Cast) -> None:
    client = service.another_client(base_url=HTTPS, headers={"Cookie": await opened(service, cast.alice)})
    assert len(CHANGES) > 15
    for method, path in CHANGES:
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
            assert (await client.request(method, path, headers=headers)).status_code == 403, path


async def test_signing_out_takes_more_than_a_link(service: Running, cast: Cast) -> None:
    client = service.another_client(base_url=HTTPS, headers={"Cookie": await opened(service, cast.bob)})
    for method in ("GET", "HEAD"):
        assert (await client.request(method, "/sign-out")).status_code == 405
    assert (await client.get("/api/session")).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH", "POST", "DELETE", "CONNECT", "get", "WHATEVER"])
async def test_unknown_methods_count_as_unsafe(service: Running, method: str) -> None:
    client = service.another_client(base_url=HTTPS)
    request = httpx.Request("POST", f"{HTTPS}/api/session", headers={"Sec-Fetch-Site": "cross-site"})
    request.method = method
    assert (await client.send(request)).status_code == 403


async def test_the_origin_is_the_one_that_the_browser_sees_before_a_proxy(
    make_settings: Callable[..., Settings], cast: Cast
) -> None:
    headers = {"X-Forwarded-Proto": "https", "Origin": "https://tallygate.test"}
    for trusted, status in ((["192.0.2.1"], 200), ([], 403)):
        async with running(make_settings(trusted_proxies=trusted)) as service:
            answer = await service.client.post("/api/session", json=AS_BOB, headers=headers)
            assert answer.status_code == status


@pytest.mark.parametrize(
    ("scheme", "host", "origin", "foreign"),
    [
        (b"http", b"a.test", b"http://a.test", False),
        (b"http", b"a.test:80", b"http://a.test", False),
        (b"http", b"a.test", b"http://a.test:80", False),
        (b"http", b"a.test:8080", b"http://a.test:8080", False),
        (b"http", b"a.test:8080", b"http://a.test:80", True),
        (b"http", b"a.test:8080", b"http://a.test", True),
        (b"https", b"a.test", b"https://a.test:80", True),
        (b"http", b"[::1]:8000", b"http://[::1]:8000", False),
        (b"http", b"[::80]", b"http://[:", True),
        (b"http", b"", b"http://", False),
    ],
)
def test_an_origin_is_scheme_host_and_port(scheme: bytes, host: bytes, origin: bytes, foreign: bool) -> None:
    assert is_cross_site("POST", scheme, {b"host": host, b"origin": origin}) is foreign
    assert not is_cross_site("GET", scheme, {b"host": host, b"origin": origin, b"sec-fetch-site": b"cross-site"})
