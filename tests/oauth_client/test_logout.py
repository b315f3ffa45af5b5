"""Signing out at both ends: from here, and from there."""

import asyncio
import re
import threading
from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from starlette.responses import JSONResponse

from app.oauth_client.id_token import LOGOUT_EVENT
from app.store.client import StoreUnavailable
from tests.fakes.noted import GONE, without_gone
from tests.fakes.openid import CLIENT_ID, OTHER_RSA, FakeOpenId
from tests.helpers.clock import Clock
from tests.helpers.oauth_flow import OAuthFlow
from tests.helpers.service import Running
from tests.helpers.valkey import Valkey
from tests.oauth_client.conftest import corp
from tests.oauth_client.refresh.conftest import so


@pytest.fixture
def tables(provider: FakeOpenId) -> dict[str, dict[str, Any]]:
    provider.metadata["end_session_endpoint"] = f"{provider.issuer}/end?x=1"
    provider.user["sid"] = "their session"
    return {"corp": corp(provider, sign_out_there=True), "quiet": corp(provider, label="Quiet")}


async def signed_out(flow: OAuthFlow) -> httpx.Response:
    answer = await flow.browser.post("/sign-out")
    assert await flow.user() is None
    return answer


async def test_sign_out_redirects_to_the_provider(flow: OAuthFlow, provider: FakeOpenId, server: Valkey) -> None:
    await flow.sign_in()
    page = await signed_out(flow)
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page.text)
    assert found is not None
    address = urlsplit(unescape(found[1]))
    query = dict(parse_qsl(address.query))
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{provider.issuer}/end"
    assert query["x"] == "1"
    assert query["client_id"] == CLIENT_ID
    assert query["post_logout_redirect_uri"] == "http://tallygate.test/"
    assert query["id_token_hint"].count(".") == 2


async def test_sign_out_without_end_session_endpoint_stays_local(flow: OAuthFlow) -> None:
    await flow.sign_in("quiet")
    assert (await signed_out(flow)).headers["location"] == "/"


async def test_unavailable_provider_does_not_block_sign_out(
    flow: OAuthFlow, provider: FakeOpenId, server: Valkey
) -> None:
    await flow.sign_in()
    with server.client as client:
        client.delete(*client.scan_iter("oauth:document:*"))
    provider.instead["/.well-known/openid-configuration"] = lambda: JSONResponse({}, 500)
    assert (await signed_out(flow)).headers["location"] == "/"


async def test_session_ends_before_the_provider_answers(
    flow: OAuthFlow, provider: FakeOpenId, server: Valkey, service: Running
) -> None:
    await flow.sign_in()
    elsewhere = OAuthFlow(service.another_client(cookies=flow.browser.cookies))
    with server.client as client:
        client.delete(*client.scan_iter("oauth:document:*"))
    path, answered, before = "/.well-known/openid-configuration", threading.Event(), len(provider.asked)

    def slow() -> JSONResponse:
        assert answered.wait(10)
        return JSONResponse({}, 500)

    provider.instead[path] = slow
    leaving = asyncio.create_task(flow.browser.post("/sign-out"))
    await so(lambda: len(provider.asked) > before)
    assert await elsewhere.user() is None
    assert not leaving.done()
    answered.set()
    assert (await leaving).headers["location"] == "/"


async def test_tokens_are_stored_encrypted(flow: OAuthFlow, server: Valkey) -> None:
    await flow.sign_in()
    with server.client as client:
        assert len(list(client.scan_iter("session-origin:*"))) == 1
        everything = b"".join(client.dump(key) or b"" for key in client.scan_iter("*"))
    assert b"248289761001.eyJ" not in everything
    assert not re.search(rb"eyJ[\w-]+\.eyJ[\w-]+\.", everything)


async def test_provider_tokens_expire_with_their_session(flow: OAuthFlow, server: Valkey, clock: Clock) -> None:
    def lives() -> list[int]:
        """Seconds that the session, and its tokens, have left in Redis."""
        with server.client as client:
            return [client.ttl(*client.scan_iter(f"{kind}:*")) for kind in ("session", "session-origin")]

    await flow.sign_in()
    assert lives() == [pytest.approx(14 * 86_400, abs=10)] * 2
    clock.move(86_400)
    assert await flow.user() is not None
    assert lives() == [pytest.approx(15 * 86_400, abs=10)] * 2


def logout_token(provider: FakeOpenId, **changes: Any) -> str:
    claims = {
        "iss": provider.issuer,
        "aud": CLIENT_ID,
        "iat": int(provider.now()),
        "exp": int(provider.now()) + 120,
        "jti": f"message {len(provider.asked)} {changes}",
        "events": {LOGOUT_EVENT: {}},
        "sub": provider.user["sub"],
        "sid": "their session",
    }
    return provider.signed(without_gone(claims | changes))


async def tell(service: Running, token: str, name: str = "corp") -> httpx.Response:
    async with service.another_client() as provider:
        return await provider.post(f"/oauth/{name}/logout", data={"logout_token": token})


@pytest.mark.parametrize("changes", [{}, {"sub": GONE}, {"sid": GONE}, {"exp": GONE}], ids=str)
async def test_back_channel_logout_ends_sessions(
    changes: dict[str, Any], flow: OAuthFlow, provider: FakeOpenId, service: Running
) -> None:
    await flow.sign_in()
    assert await flow.user() is not None
    answer = await tell(service, logout_token(provider, **changes))
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert await flow.user() is None


async def test_logout_token_ends_only_matching_sessions(
    flow: OAuthFlow, provider: FakeOpenId, service: Running
) -> None:
    await flow.sign_in()
    second, third = OAuthFlow(service.another_client()), OAuthFlow(service.another_client())
    provider.user["sid"] = "another session"
    await second.sign_in()
    provider.user = {"sub": "somebody else", "sid": "a third session"}
    await third.sign_in()
    provider.user = {"sub": "248289761001"}
    assert (await tell(service, logout_token(provider))).status_code == 200
    assert await flow.user() is None
    assert await second.user() is not None
    assert (await tell(service, logout_token(provider, sid=GONE))).status_code == 200
    assert await second.user() is None
    assert await third.user() is not None


@pytest.mark.parametrize(("changes", "stays"), [({}, False), ({"sub": GONE}, True)], ids=["sub and sid", "sid alone"])
async def test_session_without_sid_ends_with_any_logout_of_its_subject(
    changes: dict[str, Any], stays: bool, flow: OAuthFlow, provider: FakeOpenId, service: Running
) -> None:
    await OAuthFlow(service.another_client()).sign_in()
    del provider.user["sid"]
    await flow.sign_in()
    assert (await tell(service, logout_token(provider, **changes))).status_code == 200
    assert (await flow.user() is not None) is stays


@pytest.mark.parametrize("way", ["new password", "confirmed", "sign-in"])
async def test_logout_token_ends_a_session_confirmed_with_a_password(
    flow: OAuthFlow, provider: FakeOpenId, service: Running, clock: Clock, way: str
) -> None:
    password = "paper lantern over the river"
    await flow.sign_in()
    user = await flow.user()
    assert user is not None
    await flow.browser.post("/account/password", data={"current": "", "new": password})
    clock.move(3600)
    match way:
        case "confirmed":
            await flow.browser.post("/confirm", data={"next": "/account", "confirm_password": password})
        case "sign-in":
            form = {"username": user["name"], "password": password}
            assert (await flow.browser.post("/sign-in", data=form)).status_code == 303
    assert (await tell(service, logout_token(provider, sid=GONE))).status_code == 200
    assert (await flow.user() is not None) is (way == "sign-in")


async def test_logout_of_an_unknown_subject_returns_200(provider: FakeOpenId, service: Running) -> None:
    assert (await tell(service, logout_token(provider, sub="nobody"))).status_code == 200
    assert (await tell(service, logout_token(provider, sub=GONE, sid="nothing"))).status_code == 200


LIES: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://evil.example"},
    "another audience": {"aud": "somebody else"},
    "no audience": {"aud": GONE},
    "no iat": {"iat": GONE},
    "no jti": {"jti": GONE},
    "no events": {"events": GONE},
    "events that are a list": {"events": [LOGOUT_EVENT]},
    "another event": {"events": {"http://schemas.openid.net/event/other": {}}},
    "an event that is a text": {"events": {LOGOUT_EVENT: "x"}},
    "a nonce": {"nonce": "x"},
    "neither sub nor sid": {"sub": GONE, "sid": GONE},
}


async def refused(flow: OAuthFlow, service: Running, token: str) -> None:
    answer = await tell(service, token)
    assert answer.status_code == 400
    assert answer.json() == {"error": "invalid_request"}
    assert answer.headers["cache-control"] == "no-store"
    assert await flow.user() is not None


@pytest.mark.parametrize("lie", LIES)
async def test_bad_logout_token_is_refused(lie: str, flow: OAuthFlow, provider: FakeOpenId, service: Running) -> None:
    await flow.sign_in()
    await refused(flow, service, logout_token(provider, **LIES[lie]))


SIGNED: dict[str, Callable[[FakeOpenId], object]] = {
    "not at all": lambda provider: provider.__dict__.update(algorithm="none"),
    "with a shared secret": lambda provider: provider.__dict__.update(algorithm="HS256"),
    "with another key": lambda provider: provider.__dict__.update(sign_with=OTHER_RSA),
}


@pytest.mark.parametrize("signed", SIGNED)
async def test_wrongly_signed_logout_token_is_refused(
    signed: str, flow: OAuthFlow, provider: FakeOpenId, service: Running
) -> None:
    await flow.sign_in()
    SIGNED[signed](provider)
    await refused(flow, service, logout_token(provider))


async def test_an_old_logout_token_is_refused(
    flow: OAuthFlow, provider: FakeOpenId, service: Running, clock: Clock
) -> None:
    await flow.sign_in()
    token = logout_token(provider, exp=GONE)
    clock.move(301)
    await refused(flow, service, token)


async def test_a_logout_token_ends_sessions_once(flow: OAuthFlow, provider: FakeOpenId, service: Running) -> None:
    await flow.sign_in()
    token = logout_token(provider)
    assert (await tell(service, token)).status_code == 200
    await flow.sign_in()
    await refused(flow, service, token)


async def test_logout_interrupted_by_redis_succeeds_when_repeated(
    flow: OAuthFlow, provider: FakeOpenId, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise StoreUnavailable("gone", sent=True)

    await flow.sign_in()
    token = logout_token(provider)
    with monkeypatch.context() as patched:
        patched.setattr(service.state["sessions"], "end_these", away)
        assert (await tell(service, token)).status_code == 503
    assert (await tell(service, token)).status_code == 200
    assert await flow.user() is None
    await flow.sign_in()
    await refused(flow, service, token)


async def test_id_token_is_refused_as_logout_token(flow: OAuthFlow, provider: FakeOpenId, service: Running) -> None:
    await flow.sign_in()
    claims = {"iss": provider.issuer, "aud": CLIENT_ID, "iat": int(provider.now()), "sub": provider.user["sub"]}
    await refused(flow, service, provider.signed(claims))


@pytest.mark.parametrize(
    "body", [{}, {"logout_token": ""}, {"logout_token": ["a", "b"]}, {"logout_token": "x" * 70_000}]
)
async def test_a_body_without_one_token_is_refused(body: dict[str, Any], service: Running) -> None:
    assert (await service.client.post("/oauth/corp/logout", data=body)).status_code == 400
