"""Sites behind real proxies: the shipped examples of deploy/gateway, with a service and an application behind them."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Page

from dev.serving import served
from tests.gateway.front import (
    COMMANDS,
    FILES,
    IDENTITY,
    PORTAL,
    WIKI,
    Front,
    browser_tab,
    echo,
    front,
    gateway_process,
    sign_in,
    token_of_bob,
    told,
    websocket_told,
)
from tests.helpers.cast import PASSWORD
from tests.helpers.valkey import Valkey, valkey
from tests.helpers.waiting import until

pytestmark = pytest.mark.slow
RULES: list[dict[str, Any]] = [
    {"hosts": ["wiki.example.com"], "paths": ["/public/"], "allow": "everybody"},
    {"hosts": ["wiki.example.com"], "paths": ["/alice"], "allow": {"users": ["alice"]}},
    {"hosts": ["wiki.example.com"], "paths": ["/office"], "allow": {"networks": ["127.0.0.2"]}},
    {"hosts": ["wiki.example.com", "files.example.net"], "allow": "signed-in"},
]
FETCH = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def store(short_folder: Path) -> Iterator[Valkey]:
    with valkey(short_folder / "gateway-store") as store:
        yield store


@pytest.fixture(scope="module")
def token(store: Valkey) -> str:
    return token_of_bob(store)


@pytest.fixture(scope="module")
def service(short_folder: Path, store: Valkey, token: str) -> Iterator[str]:
    with gateway_process(short_folder / "gateway", store, RULES) as address:
        yield address


@pytest.fixture(scope="module")
def application() -> Iterator[str]:
    with served(echo, ws="websockets-sansio") as address:
        yield urlsplit(address).netloc


@pytest.fixture(scope="module", params=COMMANDS)
def proxy(
    request: pytest.FixtureRequest, service: str, application: str, authority: Path, short_folder: Path
) -> Iterator[Front]:
    pair = authority / "cert-and-key.pem"
    pair.write_bytes((authority / "cert.pem").read_bytes() + (authority / "key.pem").read_bytes())
    with front(request.param, service, application, authority, short_folder / request.param) as proxy:
        yield proxy


@pytest.fixture
def anybody(proxy: Front) -> Iterator[httpx.Client]:
    with proxy.client() as client:
        yield client


@pytest.fixture
def bob(proxy: Front) -> Iterator[httpx.Client]:
    """A browser in which bob is signed in at the portal and has been at the wiki."""
    with proxy.client() as client:
        sign_in(client, "bob")
        client.get(f"{WIKI}/", follow_redirects=True).raise_for_status()
        yield client


@pytest.mark.parametrize("link", ["/wiki/Caf%C3%A9/a%20b/@x?q=1&r=%2F&s=a+b", "/?" + 800 * "%E4%BD%A0&"])
def test_deep_link_comes_back_from_the_portal_as_it_was(link: str, anybody: httpx.Client) -> None:
    page = f"{WIKI}{link}"
    refused = anybody.get(page)
    assert refused.status_code == 302
    assert refused.headers["location"].startswith(f"{WIKI}/.tallygate/start?next=")
    at_portal = anybody.get(page, follow_redirects=True)
    assert at_portal.url.host == urlsplit(PORTAL).hostname
    assert 'name="password"' in at_portal.text
    sign_in(anybody, "bob")
    back = anybody.get(page, follow_redirects=True)
    assert str(back.url) == page
    assert back.json()["target"] == page.removeprefix(WIKI)
    assert told(back)["remote-user"] == ["bob"]


def test_fetch_gets_401_that_says_where_to_sign_in(anybody: httpx.Client) -> None:
    answer = anybody.get(f"{WIKI}/api/x", headers=FETCH)
    assert answer.status_code == 401
    assert "location" not in answer.headers
    assert answer.headers["www-authenticate"]
    assert answer.json()["sign_in_url"] == f"{WIKI}/.tallygate/start?next=/api/x"


def test_user_without_a_rule_gets_403(bob: httpx.Client) -> None:
    page = bob.get(f"{WIKI}/alice/x")
    assert (page.status_code, page.headers["content-type"]) == (403, "text/html; charset=utf-8")
    assert bob.get(f"{WIKI}/.tallygate/static/style.css").status_code == 200
    assert bob.get(f"{WIKI}/alice", headers=FETCH).json()["status"] == 403


def test_identity_headers_are_never_the_clients(bob: httpx.Client, anybody: httpx.Client, proxy: Front) -> None:
    forged = [(name, "alice") for name in (*IDENTITY, "X-Auth-Request_User", "X-Auth_Request-User", "Remote.User")]
    forged += [(name.replace("-", "_").title(), "alice") for name in IDENTITY]
    forged += [(name.title().replace("-", "_", 1), "alice") for name in IDENTITY]
    forged += [(name.title(), "alice") for name in IDENTITY]
    for client, user in ((bob, "bob"), (anybody, "")):
        got = told(client.get(f"{WIKI}/public/x", headers=forged))
        assert not [name for name in got if "_" in name]
        assert "remote.user" not in got or proxy.name == "traefik"  # it has no option against it (docs/gateway.md)
        assert "alice" not in {value for name in IDENTITY for value in got.get(name, [])}
        assert got.get("remote-user", [""]) == got.get("x-auth-request-user", [""]) == [user]
        assert len(got.get("x-tallygate-identity", [""])[0].split(".")) == (3 if user else 1)


def test_client_cannot_skip_the_question(anybody: httpx.Client) -> None:
    public = {
        "X-Forwarded-Uri": "/public/x", "X-Original-URL": f"{WIKI}/public/x", "X-Original-URI": "/public/x",
        "X-Forwarded-Prefix": "/public/", "X_Forwarded_Uri": "/public/x", "X-Rewrite-URL": "/public/x",
        "X-Forwarded-Method": "OPTIONS", "User-Agent": "kube-probe/1.0",
    }  # fmt: skip
    for spoofed in (public, {"X-Forwarded-Host": "other.example.com"}, {"X-Forwarded-Proto": "http"}):
        assert anybody.get(f"{WIKI}/secret", headers=FETCH | spoofed).status_code == 401, spoofed
    for address in ("127.0.0.2", "127.0.0.1", "203.0.113.9, 127.0.0.2"):
        assert anybody.get(f"{WIKI}/office", headers={"X-Forwarded-For": address}).status_code == 200
    assert anybody.get(f"{WIKI}/secret?/public/", headers=FETCH).status_code == 401
    cookie = httpx.Headers([*FETCH.items(), ("Cookie", "__Host-tallygate-site=x; \xff")], encoding="latin-1")
    assert anybody.get(f"{WIKI}/secret", headers=cookie).status_code == 401


def test_no_upgrade_but_websocket_reaches_the_application(proxy: Front) -> None:
    """An application that takes h2c would read requests from the connection that no rule has seen."""
    head = "GET /public/x HTTP/1.1\r\nHost: wiki.example.com\r\nConnection: Upgrade\r\nUpgrade: "
    for upgrade in (
        "h2c",
        "websocket, h2c",
        "h2c, websocket",
        "h2c\r\nUpgrade: websocket",
        "websocket\r\nUpgrade: h2c",
    ):
        status, body = proxy.raw(f"{head}{upgrade}\r\n\r\n")
        reached = json.loads(body)["headers"] if status == 200 else []
        assert [value for name, value in reached if name == "upgrade" and value != "websocket"] == [], upgrade


def test_odd_paths_pass_only_where_every_reading_may(proxy: Front) -> None:
    targets = (
        "/secret#/public/", "/public/../secret", "/public/..%2fsecret", "/public/%2e%2e/secret", "/public/..;/secret",
        "/public/..\\secret", "/public/%2e%2e%5csecret", "/secret%23/public/", "/public/%252e%252e/x",
        "/public%2f..%2f..%2fsecret", "/public/\x01", "/public/%00", "https://evil.test/public/x",
        "https://wiki.example.com/secret", "http://wiki.example.com/secret",
    )  # fmt: skip
    for target in targets:
        request = f"GET {target} HTTP/1.1\r\nHost: wiki.example.com\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        assert b'"target"' not in proxy.raw(request)[1], target


def test_odd_hosts_reach_no_application_without_a_sign_in(proxy: Front) -> None:
    wiki = "Host: wiki.example.com\r\n"
    for headers in (
        wiki + wiki, "Host: wiki.example.com@evil.test\r\n", "Host: \r\n", "Host: WIKI.example.com.\r\n",
        wiki + "Connection: X-Forwarded-Host, X-Forwarded-Uri, X-Original-URL\r\n", "Host: wiki.example.com:443\r\n",
        "Host: other.example.com\r\n", "", wiki + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    ):  # fmt: skip
        request = f"GET /secret HTTP/1.1\r\n{headers}Accept: */*\r\nConnection: close\r\n\r\n0\r\n\r\n"
        assert b'"target"' not in proxy.raw(request)[1], headers


def test_post_without_a_session_says_that_it_was_not_carried_out(anybody: httpx.Client) -> None:
    answer = anybody.post(f"{WIKI}/form", data={"text": "mine"}, headers={"Sec-Fetch-Mode": "navigate"})
    assert answer.status_code == 401
    assert "not carried out" in answer.text
    assert answer.headers["content-type"].startswith("text/html")


def test_bodies_streams_and_sockets_pass(bob: httpx.Client, proxy: Front) -> None:
    megabyte = bytes(1_000_000)
    sent = bob.post(f"{WIKI}/upload", content=(megabyte for _ in range(100)))
    assert (sent.json()["method"], sent.json()["length"]) == ("POST", 100_000_000)
    with bob.stream("GET", f"{WIKI}/events") as events:
        assert next(events.iter_lines()) == "data: first"
    cookie = "; ".join(f"{name}={value}" for name, value in bob.cookies.items())
    assert "bob" in websocket_told(proxy, cookie)
    # Not with websockets' client: where the connection stays open behind a refusal, it may wait for ever.
    shake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    request = f"GET /socket HTTP/1.1\r\nHost: wiki.example.com\r\n{shake}x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n"
    assert proxy.raw(request)[0] == 401


def test_token_stands_for_a_session_and_stays_here(anybody: httpx.Client, token: str) -> None:
    for credentials in ({"headers": {"Authorization": f"Bearer {token}"}}, {"auth": ("any", token)}):
        got = told(anybody.get(f"{WIKI}/repository", **credentials))
        assert got["remote-user"] == ["bob"]
        assert "authorization" not in got or got["authorization"] == [""]
    assert anybody.get(f"{WIKI}/alice", headers={"Authorization": f"Bearer {token}"} | FETCH).status_code == 403


def test_each_host_has_its_own_session_and_signing_out_ends_all(bob: httpx.Client) -> None:
    assert "bob" in bob.get(f"{WIKI}/").text
    wiki = {cookie.name: cookie.value or "" for cookie in bob.cookies.jar if cookie.domain == "wiki.example.com"}
    stolen = FETCH | {"Cookie": "; ".join(f"{name}={value}" for name, value in wiki.items())}
    assert bob.get(f"{FILES}/", headers=stolen).status_code == 401
    assert bob.get(f"{PORTAL}/api/session", headers=stolen).status_code == 401
    assert "bob" in bob.get(f"{FILES}/a?b=c", follow_redirects=True).text
    assert bob.post(f"{WIKI}/.tallygate/sign-out").status_code == 200
    for host in (WIKI, FILES):
        assert bob.get(f"{host}/", headers=FETCH).status_code == 401
    assert bob.get(f"{PORTAL}/api/session").status_code == 401


def test_64_kb_reach_no_application(proxy: Front) -> None:
    wiki, long = "Host: wiki.example.com\r\nAccept: */*\r\nConnection: close\r\n", 64_000 * "a"
    for target, header in ((f"/{long}", ""), (f"/?{long}", ""), ("/", f"Cookie: {long}\r\n"), ("/", f"X: {long}\r\n")):
        body = b""
        with suppress(OSError):  # some close before they have read all
            _, body = proxy.raw(f"GET {target} HTTP/1.1\r\n{wiki}{header}\r\n")
        assert b'"target"' not in body


def test_trailers_are_no_headers(bob: httpx.Client, proxy: Front) -> None:
    host = urlsplit(WIKI).netloc
    cookies = "; ".join(f"{each.name}={each.value}" for each in bob.cookies.jar if each.domain == host)
    request = (
        f"POST / HTTP/1.1\r\nHost: {host}\r\nCookie: {cookies}\r\nTransfer-Encoding: chunked\r\n"
        "Connection: close\r\n\r\n1\r\na\r\n0\r\nRemote-User: alice\r\n\r\n"
    )
    _, body = proxy.raw(request)
    # HAProxy 2.6 passes trailers on, and has no option against it (docs/gateway.md).
    assert b"alice" not in body or proxy.name == "haproxy"


@pytest.fixture
def page(proxy: Front) -> Iterator[Page]:
    with browser_tab(proxy) as page:
        yield page


def test_in_a_browser_even_the_fragment_comes_back_and_signing_out_ends_both(page: Page) -> None:
    page.goto(f"{WIKI}/deep/page?x=1&y=%2F#part")
    page.get_by_label("Username").fill("bob")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"{WIKI}/deep/page?x=1&y=%2F#part")
    assert json.loads(page.text_content("body") or "")["target"] == "/deep/page?x=1&y=%2F"
    assert page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
    page.goto(f"{WIKI}/.tallygate/sign-out")
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.get_by_text("You are signed out of all sites.").wait_for()
    page.goto(f"{WIKI}/")
    page.get_by_label("Username").wait_for()


def test_untrusted_addresses_may_not_ask(proxy: Front) -> None:
    for path in (
        "/verify/forward-auth", "//verify/forward-auth", "/%76erify/forward-auth", "/x/../verify/forward-auth",
        "/verify/ext-authz/public/x",
    ):  # fmt: skip
        question = (
            f"GET {path} HTTP/1.1\r\nHost: sign-in.example.org\r\nX-Forwarded-Uri: /public/x\r\n"
            "X-Forwarded-Host: wiki.example.com\r\nX-Forwarded-Method: GET\r\nConnection: close\r\n\r\n"
        )
        assert proxy.raw(question, "sign-in.example.org")[0] in {301, 307, 308, 400, 404}, path


def test_outage_is_reported_by_hosts_and_sessions_survive(bob: httpx.Client, proxy: Front, store: Valkey) -> None:
    store.stop()
    try:
        with proxy.client() as other:
            unknown = FETCH | {"Cookie": f"__Host-tallygate-site={'a' * 40}"}
            assert other.get(f"{WIKI}/", headers=unknown).status_code in {401, 503}
            other.cookies.update(bob.cookies)
            until(lambda: other.get(f"{WIKI}/", headers=FETCH).status_code == 503)
            assert (page := other.get(f"{WIKI}/")).status_code == 503
            assert proxy.name == "envoy" or "try again" in page.text  # Envoy passes no page on with a 503
    finally:
        store.start()
    until(lambda: bob.get(f"{WIKI}/").status_code == 200)
