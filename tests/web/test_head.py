"""HEAD changes nothing (RFC 9110, 9.3.2), also where GET does: hits, codes, sign-outs, secrets that are shown once."""

import re
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from starlette.routing import Route

from app.routes import all_routes
from app.settings import Settings
from tests.helpers.cast import PASSWORD, make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import eventually

PORTAL, HOST = "http://tallygate.test", "http://wiki.example.com"
pytestmark = pytest.mark.slow
BACK = "https://app.example.com/callback"
AUTHORIZE = f"/oauth2/authorize?client_id=app&redirect_uri={BACK}&response_type=code&scope=openid"
APP = {"secret": "s" * 32, "redirect_uris": [BACK], "pkce": False, "first_party": True}
CHROME = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"}
HARMLESS = re.compile(rb"limits|challenge|raised|hooks|events|signing-keys")
"""Keys that any request may write (rate limits, and challenges for passkeys, which expire), or work beside requests."""
ELSEWHERE = {
    "/oauth/{provider}/start", "/oauth/{provider}/callback", "/wechat/platform/{name}/authorize",
    "/wechat/platform/{name}/authorized", "/wechat/{account}/{path:path}",
}  # fmt: skip
"""What they change is at the provider or at WeChat."""


@pytest.fixture
async def service(make_settings: Callable[..., Settings], clock: Clock) -> AsyncIterator[Running]:
    settings = make_settings(
        public_url=PORTAL,
        countapi=True,
        clients={"app": APP},
        rules=({"hosts": ["wiki.example.com"], "allow": "signed-in"},),
    )
    async with running(settings, clock) as service:
        await make_cast(service)
        yield service


def routes_with_get() -> list[Route]:
    return [each for each in all_routes() if isinstance(each, Route) and "GET" in (each.methods or ())]


async def location(browser: httpx.AsyncClient, url: str) -> str:
    answer = await browser.get(url)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


async def test_head_changes_nothing_where_get_does(service: Running, server: Valkey) -> None:
    alice, visitor = await signed_in(service, "alice", headers=CHROME), service.another_client(headers=CHROME)
    site = (await alice.post("/api/sites", json={"name": "Blog", "hosts": ["blog.example"]})).json()["id"]

    def stored() -> dict[bytes, bytes | None]:
        with server.client as client:
            return {key: client.dump(key) for key in client.scan_iter() if not HARMLESS.search(key)}

    walked = set()

    async def walk(template: str, url: str, browser: httpx.AsyncClient = alice, **headers: str) -> httpx.Response:
        walked.add(template)
        await eventually(lambda: service.state["hit_counter"].senders.waiting == 0)
        before = stored()
        head = await browser.head(url, headers=headers)
        assert head.status_code < 500
        assert stored() == before, url
        answer = await browser.get(url, headers=headers)

        async def changed() -> bool:
            return stored() != before

        await eventually(changed, what=f"a change by GET {url}")
        return answer

    await walk("/", "/", visitor)
    await walk("/c/{hit:path}", f"/c/{site}?p=/a", visitor)
    await walk("/busuanzi", "/busuanzi?jsonpCallback=f", visitor, Referer="https://blog.example/b")
    await walk("/busuanzi/api", "/busuanzi/api", visitor, **{"x-bsz-referer": "https://blog.example/c"})
    await walk("/api", "/api", visitor, **{"x-bsz-referer": "https://blog.example/d"})
    await walk("/countapi/{what}", "/countapi/create?namespace=blog&key=first", visitor)
    await walk("/countapi/{what}/{names:path}", "/countapi/hit/blog/second", visitor)
    await walk("/g/{site}/count", f"/g/{site}/count?p=/e", visitor)
    shown = (await alice.post("/admin/clients/registration")).headers["location"]
    await walk("/admin/clients", shown)
    await walk("/oauth2/authorize", AUTHORIZE)
    stranger = service.another_client(headers=CHROME)
    going_on = httpx.URL(await location(stranger, AUTHORIZE)).params["next"]
    await stranger.post("/api/session", json={"username": "bob", "password": PASSWORD})
    await walk("/oauth2/continue", going_on, stranger)
    started = await walk("/.tallygate/start", f"{HOST}/.tallygate/start?next=/", visitor)
    onward = await walk("/gateway/authorize", started.headers["location"])
    await walk("/.tallygate/finish", onward.headers["location"], visitor)
    code = httpx.URL(await location(alice, AUTHORIZE)).params["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK}
    tokens = (await alice.post("/oauth2/token", data=form, auth=("app", "s" * 32))).json()
    await walk("/oauth2/end-session", f"/oauth2/end-session?id_token_hint={tokens['id_token']}")
    assert {each.path for each in routes_with_get() if "HEAD" not in (each.methods or ())} <= walked | ELSEWHERE
