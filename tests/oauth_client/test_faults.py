"""Providers that are away, slow or talk nonsense: the sign-in page again, and nothing half-made."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from app.settings import Settings
from tests.fakes.noted import GONE
from tests.fakes.openid import OTHER_RSA, RSA, FakeOpenId
from tests.helpers.clock import Clock
from tests.helpers.oauth_flow import OAuthFlow
from tests.helpers.service import Running, running
from tests.helpers.sockets import PATIENCE
from tests.oauth_client.conftest import Start, corp


def endless() -> Response:
    return JSONResponse({"x": "x" * 1_000_000})


WRONG: dict[str, Callable[[], Response]] = {
    "HTML": lambda: HTMLResponse("<h1>Hello</h1>"),
    "JSON that is called HTML": lambda: HTMLResponse("{}"),
    "text": lambda: PlainTextResponse("{}"),
    "500": lambda: JSONResponse({}, 500),
    "503": lambda: PlainTextResponse("later", 503),
    "404": lambda: JSONResponse({"error": "not_found"}, 404),
    "401": lambda: JSONResponse({"error": "invalid_client"}, 401),
    "429": lambda: JSONResponse({}, 429),
    "nothing": lambda: Response(b"", media_type="application/json"),
    "a list": lambda: JSONResponse([]),
    "bad JSON": lambda: Response(b"{", media_type="application/json"),
    "JSON that is not UTF-8": lambda: Response(b'{"x": "\xff"}', media_type="application/json"),
    "deep JSON": lambda: Response(b"[" * 100_000, media_type="application/json"),
    "an empty object": lambda: JSONResponse({}),
    "1 MB": endless,
    "a redirect": lambda: RedirectResponse("http://127.0.0.1:1/", 307),
}


A_FEW = ["HTML", "503", "401", "bad JSON", "a redirect"]
"""Every document is read in the same way: the token endpoint's tests try each wrong one."""


async def fails(flow: OAuthFlow, callback: str, users: Callable[[], int]) -> None:
    answer = await flow.callback(callback)
    assert answer.status_code in {400, 502}, answer.text
    assert 'role="alert"' in answer.text
    assert answer.headers["x-request-id"] in answer.text
    assert users() == 0
    assert await flow.user() is None


@pytest.mark.parametrize("wrong", WRONG)
async def test_bad_token_response_is_refused(
    wrong: str, flow: OAuthFlow, provider: FakeOpenId, users: Callable[[], int]
) -> None:
    callback = await flow.authorize(await flow.start())
    provider.instead["/token"] = WRONG[wrong]
    await fails(flow, callback, users)
    assert provider.count("/token") == 1


async def test_slow_token_endpoint_times_out(
    make_settings: Callable[..., Settings],
    tables: dict[str, dict[str, Any]],
    provider: FakeOpenId,
    users: Callable[[], int],
    clock: Clock,
) -> None:
    given_up = threading.Event()

    def late() -> Response:
        assert given_up.wait(PATIENCE)
        return JSONResponse({})

    async with running(make_settings(oauth=tables, oauth_timeout=2), clock) as service:
        flow = OAuthFlow(service.another_client(headers={"Accept": "text/html"}))
        callback = await flow.authorize(await flow.start())
        provider.instead["/token"] = late
        try:
            await fails(flow, callback, users)
        finally:
            given_up.set()
    assert provider.count("/token") == 1


@pytest.mark.parametrize("wrong", A_FEW)
async def test_bad_userinfo_response_is_refused_if_the_rule_needs_it(
    wrong: str, start: Start, provider: FakeOpenId, users: Callable[[], int]
) -> None:
    async with start(allow={"claims": {"groups": "staff"}}) as service:
        flow = OAuthFlow(service.another_client(headers={"Accept": "text/html"}))
        callback = await flow.authorize(await flow.start())
        provider.instead["/userinfo"] = WRONG[wrong]
        await fails(flow, callback, users)


@pytest.mark.parametrize("wrong", A_FEW)
async def test_failing_userinfo_endpoint_is_ignored_if_not_needed(
    wrong: str, flow: OAuthFlow, provider: FakeOpenId
) -> None:
    callback = await flow.authorize(await flow.start())
    provider.instead["/userinfo"] = WRONG[wrong]
    assert (await flow.callback(callback)).status_code == 303
    assert await flow.user() is not None


@pytest.mark.parametrize("wrong", [*A_FEW, "an empty object"])
async def test_bad_key_set_is_refused(
    wrong: str, flow: OAuthFlow, provider: FakeOpenId, users: Callable[[], int]
) -> None:
    callback = await flow.authorize(await flow.start())
    provider.instead["/jwks"] = WRONG[wrong]
    await fails(flow, callback, users)


@pytest.mark.parametrize("wrong", [*A_FEW, "an empty object"])
async def test_bad_discovery_response_is_refused(wrong: str, flow: OAuthFlow, provider: FakeOpenId) -> None:
    provider.instead["/.well-known/openid-configuration"] = WRONG[wrong]
    answer = await flow.browser.get("/oauth/corp/start?next=/account")
    assert answer.status_code == 502
    assert 'role="alert"' in answer.text
    assert "next=/account" in answer.text
    assert answer.headers["x-request-id"] in answer.text
    del provider.instead["/.well-known/openid-configuration"]
    assert (await flow.sign_in()).status_code == 303


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": GONE},
        {"issuer": "https://evil.example"},
        {"authorization_endpoint": GONE},
        {"token_endpoint": ["x"]},
        {"jwks_uri": "ftp://x/"},
        {"jwks_uri": "/jwks"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "http://x/ y"},
        {"token_endpoint": "http://[x/"},
    ],
)
async def test_bad_discovery_document_is_refused(
    metadata: dict[str, Any], flow: OAuthFlow, provider: FakeOpenId
) -> None:
    provider.metadata = metadata
    answer = await flow.browser.get("/oauth/corp/start")
    assert answer.status_code == 502


@pytest.mark.parametrize("value", ["http://user@x/", "", None, 5, "/relative", "javascript:alert(1)"])
async def test_malformed_optional_endpoint_counts_as_missing(
    value: object, flow: OAuthFlow, provider: FakeOpenId
) -> None:
    provider.metadata = {"userinfo_endpoint": value, "end_session_endpoint": value}
    assert (await flow.sign_in()).status_code == 303


async def test_announced_issuer_is_shown(flow: OAuthFlow, provider: FakeOpenId) -> None:
    provider.metadata = {"issuer": "https://other.example/realms/x"}
    answer = await flow.browser.get("/oauth/corp/start")
    assert "https://other.example/realms/x" in answer.text


async def test_provider_error_is_shown_and_logged(
    flow: OAuthFlow, provider: FakeOpenId, caplog: pytest.LogCaptureFixture
) -> None:
    provider.callback = {"code": GONE, "error": "access_denied", "error_description": "AADSTS50105: <b>no</b>\r\nrole"}
    answer = await flow.sign_in()
    assert answer.status_code == 403
    assert "AADSTS50105: &lt;b&gt;no&lt;/b&gt; role" in answer.text
    assert "AADSTS50105: <b>no</b> role" in caplog.text


@pytest.mark.parametrize("status", [200, 400, 401, 500])
async def test_token_endpoint_error_is_shown_with_any_status(
    status: int, flow: OAuthFlow, provider: FakeOpenId
) -> None:
    callback = await flow.authorize(await flow.start())
    described = {"error": "invalid_client", "error_description": "the application is switched off"}
    provider.instead["/token"] = lambda: JSONResponse(described, status)
    answer = await flow.callback(callback)
    assert answer.status_code == 502
    assert "the application is switched off" in answer.text


async def test_unverified_address_is_named(start: Start, provider: FakeOpenId) -> None:
    provider.claims = {"email": "a@corp.example", "email_verified": False}
    async with start(allow={"domains": ["corp.example"]}) as service:
        answer = await OAuthFlow(service.another_client(headers={"Accept": "text/html"})).sign_in()
    assert answer.status_code == 403
    assert "does not say that your e-mail address is verified" in answer.text


async def test_unavailable_provider_is_a_problem_document(flow: OAuthFlow, provider: FakeOpenId) -> None:
    provider.instead["/.well-known/openid-configuration"] = WRONG["500"]
    answer = await flow.browser.post("/api/oauth/corp/start", json={})
    assert (answer.status_code, answer.headers["content-type"]) == (502, "application/problem+json")


async def test_new_key_works_at_the_next_sign_in(flow: OAuthFlow, provider: FakeOpenId, clock: Clock) -> None:
    await flow.sign_in()
    assert provider.count("/jwks") == 1
    clock.move(1)
    provider.keys = [OTHER_RSA]
    assert (await flow.sign_in()).status_code == 303
    assert provider.count("/jwks") == 2


@pytest.mark.slow
async def test_concurrent_sign_ins_with_a_new_key_fetch_once(
    flow: OAuthFlow, provider: FakeOpenId, service: Running, clock: Clock
) -> None:
    await flow.sign_in()
    clock.move(1)
    provider.keys = [OTHER_RSA]
    walks = [OAuthFlow(service.another_client(client=(f"192.0.2.{number}", 1))) for number in range(20)]
    answers = await asyncio.gather(*(one.sign_in() for one in walks))
    assert [answer.status_code for answer in answers] == [303] * 20
    assert provider.count("/jwks") == 2


async def test_unknown_keys_fetch_at_most_once_a_minute(flow: OAuthFlow, provider: FakeOpenId, clock: Clock) -> None:
    await flow.sign_in()
    clock.move(1)
    provider.sign_with = OTHER_RSA
    for _ in range(5):
        assert (await flow.sign_in()).status_code == 502
    assert provider.count("/jwks") == 2


async def test_workers_share_fetched_metadata(
    flow: OAuthFlow, provider: FakeOpenId, make_settings: Callable[..., Settings], clock: Clock
) -> None:
    await flow.sign_in()
    async with running(make_settings(oauth={"corp": corp(provider)}), clock) as another:
        await OAuthFlow(another.client).sign_in()
    assert provider.count("/.well-known/openid-configuration") == 1
    assert provider.count("/jwks") == 1


async def test_metadata_is_fetched_again_after_an_hour(flow: OAuthFlow, provider: FakeOpenId, clock: Clock) -> None:
    await flow.sign_in()
    clock.move(3601)
    await flow.sign_in()
    assert provider.count("/.well-known/openid-configuration") == 2
    assert provider.count("/jwks") == 2


async def test_stale_metadata_is_used_while_the_provider_is_away(
    flow: OAuthFlow, provider: FakeOpenId, clock: Clock
) -> None:
    await flow.sign_in()
    clock.move(86_400)
    for path in ("/.well-known/openid-configuration", "/jwks"):
        provider.instead[path] = WRONG["500"]
    assert (await flow.sign_in()).status_code == 303


async def test_malformed_keys_do_not_disturb_the_good_one(flow: OAuthFlow, provider: FakeOpenId) -> None:
    good = RSA.as_dict(private=False)
    odd = [5, {}, {"kty": "XYZ", "kid": "rsa"}, {"kty": "oct", "k": "AAAA", "kid": "rsa"}, good | {"use": "enc"}]
    provider.instead["/jwks"] = lambda: JSONResponse({"keys": [*odd, good]})
    assert (await flow.sign_in()).status_code == 303


async def test_huge_number_in_a_document_is_refused(flow: OAuthFlow, provider: FakeOpenId) -> None:
    provider.metadata["odd"] = 10**30
    assert (await flow.sign_in()).status_code == 303


async def test_sign_in_makes_one_token_request(flow: OAuthFlow, provider: FakeOpenId) -> None:
    provider.user |= {"email": "a@corp.example", "email_verified": True, "name": "Alice"}
    await flow.sign_in()
    before = len(provider.asked)
    callback = await flow.authorize(await flow.start())
    await flow.callback(callback)
    assert [one.path for one in provider.asked[before:]] == ["/authorize", "/token"]
