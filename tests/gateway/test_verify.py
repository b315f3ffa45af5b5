"""The three endpoints that proxies ask."""

from typing import Any

import httpx
import pytest

from tests.gateway.conftest import FILES, PAGE, PROXY, WIKI, Browser, forwarded
from tests.helpers.cast import Cast
from tests.helpers.clock import Clock
from tests.helpers.service import Running

IDENTITY = [
    "remote-user", "remote-name", "remote-email", "remote-groups",
    "x-auth-request-user", "x-auth-request-preferred-username", "x-auth-request-email", "x-auth-request-groups",
    "x-tallygate-groups-truncated", "x-tallygate-identity",
]  # fmt: skip


@pytest.fixture
def proxy(service: Running) -> httpx.AsyncClient:
    """The proxy itself, asking for a client without cookies."""
    return service.another_client(base_url="http://tallygate:8000", client=PROXY)


def question(endpoint: str, path: str = "/", **headers: str) -> tuple[str, dict[str, str]]:
    """The URL and headers with which a proxy of this endpoint asks about a GET of the wiki's path."""
    match endpoint:
        case "auth-request":
            own = {
                "X-Original-URL": f"https://{WIKI}{path}",
                "X-Original-Method": "GET",
                "X-Forwarded-For": "203.0.113.5",
            }
            return "/verify/auth-request", own | headers
        case "forward-auth":
            return "/verify/forward-auth", forwarded(path) | headers
        case _:
            return f"/verify/ext-authz/{path[1:]}", {"Host": WIKI, "X-Forwarded-Proto": "https"} | headers


ENDPOINTS = ["auth-request", "forward-auth", "ext-authz"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_signed_in_user_passes_with_every_identity_header_once_and_no_body(
    browser: Browser, endpoint: str
) -> None:
    await browser.sign_in("bob")
    await browser.enter()
    url, headers = question(endpoint, "/a?b=c")
    cookies = {"Cookie": f"__Host-tallygate-site={browser.at(WIKI).cookies['__Host-tallygate-site']}"}
    for _ in range(2):
        answer = await browser._service.another_client(client=PROXY).get(url, headers=headers | cookies)
        assert answer.status_code == 200, answer.text
        assert answer.content == b""
        assert answer.headers["content-length"] == "0"
        assert [len(answer.headers.get_list(name)) for name in IDENTITY] == [1] * len(IDENTITY)
        assert answer.headers["remote-user"] == answer.headers["x-auth-request-user"] == "bob"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["vary"].startswith("Cookie, Authorization")


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_public_rule_passes_everybody_with_empty_identity_headers(
    proxy: httpx.AsyncClient, endpoint: str
) -> None:
    url, headers = question(endpoint, "/public/x")
    answer = await proxy.get(url, headers=headers)
    assert answer.status_code == 200
    assert [answer.headers.get_list(name) for name in IDENTITY] == [[""]] * len(IDENTITY)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_browsers_navigation_is_sent_to_sign_in(proxy: httpx.AsyncClient, endpoint: str) -> None:
    url, headers = question(endpoint, "/a?b=c&d", **PAGE)
    answer = await proxy.get(url, headers=headers)
    assert answer.status_code == (401 if endpoint == "auth-request" else 302)
    assert answer.headers["location"] == f"https://{WIKI}/.tallygate/start?next=/a?b=c%26d"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.content == b""


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": "application/json"},
        {"Accept": "*/*"},
        PAGE | {"Sec-Fetch-Mode": "cors"},
        PAGE | {"X-Requested-With": "XMLHttpRequest"},
        PAGE | {"Upgrade": "websocket", "Connection": "Upgrade"},
        PAGE | {"Sec-Fetch-Mode": "websocket"},
    ],
)
async def test_other_requests_get_401_with_the_sign_in_url(
    proxy: httpx.AsyncClient, endpoint: str, headers: dict[str, str]
) -> None:
    url, own = question(endpoint, "/a", **headers)
    answer = await proxy.get(url, headers=own)
    assert answer.status_code == 401
    assert "location" not in answer.headers
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"]
    assert answer.json()["sign_in_url"] == f"https://{WIKI}/.tallygate/start?next=/a"


async def test_lost_post_is_reported_to_the_visitor(browser: Browser) -> None:
    answer = await browser.verify("/a", method="POST", Accept="application/json")
    assert answer.status_code == 401
    assert "not kept" in answer.json()["detail"]
    page = await browser.verify("/a", method="POST", **{"Sec-Fetch-Mode": "navigate"})
    assert page.status_code == 401
    assert page.headers["content-type"].startswith("text/html")
    assert "not kept" in page.text
    assert "/.tallygate/static/style.css" in page.text
    assert "default-src" in page.headers["content-security-policy"]


async def test_browsers_get_no_basic_challenge_and_programs_do(browser: Browser, proxy: httpx.AsyncClient) -> None:
    answer = await browser.verify(Accept="application/json")
    assert answer.headers["www-authenticate"] == "Bearer"
    program = await proxy.get("/verify/forward-auth", headers=forwarded() | {"User-Agent": "git/2.47"})
    assert program.headers["www-authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize("path", ["/bob", "/office"])
async def test_user_whom_the_rule_does_not_name_gets_403(browser: Browser, path: str) -> None:
    await browser.sign_in("charlie")
    await browser.enter()
    page = await browser.verify(path)
    assert page.status_code == 403
    assert "location" not in page.headers
    assert page.headers["content-type"].startswith("text/html")
    assert (await browser.verify(path, Accept="application/json")).json()["status"] == 403


async def test_host_without_a_rule_is_refused(browser: Browser) -> None:
    assert (await browser.verify("/", "other.example.com")).status_code == 403
    assert (await browser.verify("/", "internal.example.com")).status_code == 403


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("client", [("198.51.100.9", 1), ("127.0.0.1", 1)])
async def test_untrusted_proxies_may_not_ask(
    service: Running, endpoint: str, client: tuple[str, int], capfd: pytest.CaptureFixture[str]
) -> None:
    url, headers = question(endpoint, "/public/x")
    stranger = service.another_client(client=client)
    for _ in range(3):
        answer = await stranger.get(url, headers=headers)
        assert answer.status_code == 403
        assert "trusted_proxies" in answer.json()["detail"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_check_ignores_body_and_origin_of_the_client(proxy: httpx.AsyncClient, endpoint: str) -> None:
    url, headers = question(endpoint, "/public/x")
    odd = {
        "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.test", "Upgrade": "websocket", "Connection": "Upgrade",
        "Content-Length": "104857600000", "Expect": "100-continue",
    }  # fmt: skip
    for method in ("POST", "HEAD", "DELETE", "GET"):
        answer = await proxy.request(method, url, headers=headers | odd)
        assert answer.status_code == 200, method


async def test_allowed_hosts_do_not_restrict_checks(proxy: httpx.AsyncClient) -> None:
    answer = await proxy.get("/verify/forward-auth", headers=forwarded("/public/x") | {"Host": "wiki.example.com"})
    assert answer.status_code == 200


async def test_two_cookie_headers_are_read_as_one(browser: Browser) -> None:
    await browser.sign_in("bob")
    await browser.enter()
    cookie = f"__Host-tallygate-site={browser.at(WIKI).cookies['__Host-tallygate-site']}"
    client = browser._service.another_client(client=PROXY)
    headers = [*forwarded().items(), ("Cookie", "a=1"), ("Cookie", cookie)]
    for _ in range(2):
        assert (await client.get("/verify/forward-auth", headers=headers)).status_code == 200
    doubled = [*headers, ("Cookie", cookie.replace("=", "=x"))]
    assert (await client.get("/verify/forward-auth", headers=doubled)).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-Host": ""}, {"X-Forwarded-Host": "a@wiki.example.com"}, {"X-Forwarded-Uri": "x"},
        {"X-Forwarded-Uri": "/a\x7fb"}, {"X-Forwarded-Proto": "https,http"}, {"X-Forwarded-Method": "G T"},
        {"X-Forwarded-Method": "get"}, {"X-Forwarded-Host": "[::1]:x"}, {"X-Forwarded-Host": "wiki.example.com, b"},
        {"X-Forwarded-Uri": "/%00"}, {"X-Forwarded-Uri": "/%ff"}, {"X-Forwarded-Uri": "/" + 60_000 * "a"},
    ],
)  # fmt: skip
async def test_malformed_question_gets_400(proxy: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await proxy.get("/verify/forward-auth", headers=forwarded("/public/") | headers)
    assert answer.status_code == 400
    assert answer.json()["field"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_headers_of_other_proxies_are_not_believed(proxy: httpx.AsyncClient, endpoint: str) -> None:
    others: dict[str, str] = {"X-Original-URL": f"https://{WIKI}/public/", "X-Original-Method": "GET"}
    if endpoint == "auth-request":
        others = forwarded("/public/") | {"X-Original-URI": "/public/"}
    url, headers = question(endpoint, "/secret")
    odd = {"X-Forwarded-Prefix": "/public", "X-Rewrite-URL": "/public/", "X-HTTP-Method-Override": "HEAD"}
    answer = await proxy.get(url, headers=others | odd | {"User-Agent": "kube-probe/1.0"} | headers)
    assert answer.status_code == 401


async def test_query_of_a_caddy_question_is_not_read(proxy: httpx.AsyncClient) -> None:
    answer = await proxy.get("/verify/forward-auth?/public/&x=/public/", headers=forwarded("/secret?/public/"))
    assert answer.status_code == 401


async def test_networks_match_the_client_not_the_proxy(proxy: httpx.AsyncClient, service: Running) -> None:
    inside = forwarded("/office") | {"X-Forwarded-For": "198.51.100.7"}
    assert (await proxy.get("/verify/forward-auth", headers=inside)).status_code == 200
    forged = inside | {"X-Forwarded-For": "198.51.100.7, 203.0.113.5"}
    assert (await proxy.get("/verify/forward-auth", headers=forged)).status_code == 403
    del inside["X-Forwarded-For"]
    assert (await proxy.get("/verify/forward-auth", headers=inside)).status_code == 403


@pytest.mark.parametrize("cookie", ["__Host-tallygate-site=%00", "__Host-tallygate-site=" + 9000 * "a", "\xff=\xfe",
                                    "__Host-tallygate=x; __Host-tallygate=y", "__Host-tallygate-site="])  # fmt: skip
async def test_malformed_cookies_are_no_sign_in(proxy: httpx.AsyncClient, cookie: str) -> None:
    headers: Any = {name.encode(): value.encode() for name, value in forwarded().items()}
    answer = await proxy.get("/verify/forward-auth", headers=headers | {b"Cookie": cookie.encode("latin-1")})
    assert answer.status_code == 401


async def test_disabled_user_is_refused_at_once(browser: Browser, service: Running, cast: Cast) -> None:
    await browser.sign_in("bob")
    await browser.enter()
    assert (await browser.verify()).status_code == 200
    await service.state["accounts"].set_disabled(cast.bob.id, True)
    assert (await browser.verify()).status_code == 302


async def test_session_in_use_at_a_host_does_not_idle_out(browser: Browser, clock: Clock) -> None:
    await browser.sign_in("bob")
    await browser.enter()
    for _ in range(4):
        clock.move(10 * 86_400)
        assert (await browser.verify()).status_code == 200
    clock.move(15 * 86_400)
    assert (await browser.verify()).status_code == 302


async def test_first_answer_has_an_identity_token(browser: Browser) -> None:
    """Before it no key has been made."""
    await browser.sign_in("bob")
    await browser.enter()
    assert len((await browser.verify()).headers["x-tallygate-identity"].split(".")) == 3


async def test_page_of_a_refused_request_is_shown_for_nginx(browser: Browser) -> None:
    wiki = browser.at(WIKI)
    asked = {"X-Original-URL": f"https://{WIKI}/a", "X-Original-Method": "GET"}
    answer = await wiki.get("/.tallygate/refused", headers=asked)
    assert answer.status_code == 302
    assert answer.headers["location"] == f"https://{WIKI}/.tallygate/start?next=/a"
    elsewhere = await wiki.get("/.tallygate/refused", headers=asked | {"X-Original-URL": f"https://{FILES}/a"})
    assert (elsewhere.status_code, elsewhere.headers.get("location")) == (400, None)
    script = await wiki.post("/.tallygate/refused", headers=asked | {"Accept": "*/*", "Sec-Fetch-Site": "cross-site"})
    assert script.status_code == 401
    assert script.json()["sign_in_url"]
    await browser.sign_in("charlie")
    await browser.enter()
    denied = await wiki.get("/.tallygate/refused", headers=asked | {"X-Original-URL": f"https://{WIKI}/bob"})
    assert denied.status_code == 403
    assert "Not allowed – Tallygate</title>" in denied.text
    late = await wiki.get("/.tallygate/refused", headers=asked)
    assert late.status_code == 503, "never 200, which would look like the application's page"
