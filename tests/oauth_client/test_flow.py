"""An attempt belongs to one browser, one provider and one moment; other tabs do not disturb it."""

import asyncio
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from starlette.responses import JSONResponse, Response

from tests.accounts.pages.reading import alert, message, value_of
from tests.fakes.noted import GONE
from tests.fakes.openid import CLIENT_SECRET, FakeOpenId
from tests.helpers.clock import Clock
from tests.helpers.oauth_flow import OAuthFlow
from tests.helpers.service import Running
from tests.helpers.valkey import Valkey
from tests.oauth_client.conftest import corp


@pytest.fixture
def tables(provider: FakeOpenId) -> dict[str, dict[str, Any]]:
    """Two providers; both are served by the same fake, which is the worst case for a mix-up."""
    return {"corp": corp(provider), "other": corp(provider, label="Other")}


def changed(callback: str, **parameters: Any) -> str:
    """A callback with other parameters."""
    parts = urlsplit(callback)
    query = {name: value for name, value in (dict(parse_qsl(parts.query)) | parameters).items() if value is not GONE}
    return parts._replace(query=urlencode(query)).geturl()


async def refused(flow: OAuthFlow, callback: str, status: int = 400) -> httpx.Response:
    """The sign-in page again, with a sentence and a reference; nobody is signed in."""
    answer = await flow.callback(callback)
    assert answer.status_code == status, answer.text
    assert 'role="alert"' in answer.text
    assert answer.headers["x-request-id"] in answer.text
    assert await flow.user() is None
    return answer


async def test_two_tabs_both_sign_in(flow: OAuthFlow) -> None:
    first, second = await flow.start(next="/account"), await flow.start(next="/account/devices")
    assert (await flow.callback(await flow.authorize(second))).headers["location"] == "/account/devices"
    assert (await flow.callback(await flow.authorize(first))).headers["location"] == "/account"


async def test_fifty_abandoned_requests_do_not_grow_the_cookie(flow: OAuthFlow) -> None:
    for _ in range(50):
        address = await flow.start(next="/account?" + "x" * 300)
    sent = flow.browser.build_request("GET", "http://tallygate.test/").headers["cookie"]
    assert len(sent) <= 4200
    assert (await flow.callback(await flow.authorize(address))).status_code == 303


async def test_finished_request_deletes_its_cookie(flow: OAuthFlow) -> None:
    await flow.sign_in()
    assert [name for name in flow.browser.cookies if "oauth" in name] == []


async def test_the_cookie_is_http_only_lax_and_short_lived(flow: OAuthFlow, service: Running) -> None:
    answer = await flow.browser.get("/oauth/corp/start")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("tallygate-oauth-")
    for part in ("HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=600"):
        assert part in cookie
    async with service.another_client(base_url="https://tallygate.test") as secure:
        cookie = (await secure.get("/oauth/corp/start")).headers["set-cookie"]
    assert cookie.startswith("__Host-tallygate-oauth-")
    assert "Secure" in cookie


async def test_callback_of_another_browser_is_refused(flow: OAuthFlow, service: Running) -> None:
    callback = await flow.authorize(await flow.start())
    await refused(OAuthFlow(service.another_client()), callback)
    assert (await flow.callback(callback)).status_code == 303


@pytest.mark.parametrize("state", [GONE, "", "x", "0" * 32, "é" * 32, "\ud800".encode("utf-8", "replace"), "x" * 5000])
async def test_a_wrong_state_is_refused(state: object, flow: OAuthFlow) -> None:
    await refused(flow, changed(await flow.authorize(await flow.start()), state=state))


@pytest.mark.parametrize("state", ["€", "\r\nX-Evil: 1", "x; Domain=test", "\x00", "A" * 32])
async def test_malformed_state_is_in_no_header(state: str, flow: OAuthFlow) -> None:
    answer = await refused(flow, changed(await flow.authorize(await flow.start()), state=state))
    assert "set-cookie" not in answer.headers


async def test_a_changed_cookie_is_refused(flow: OAuthFlow) -> None:
    callback = await flow.authorize(await flow.start())
    (name,) = [name for name in flow.browser.cookies if "oauth" in name]
    value = flow.browser.cookies[name]
    flow.browser.cookies.clear()
    flow.browser.cookies.set(name, value[:-3] + ("AAA" if value[-3:] != "AAA" else "BBB"))
    await refused(flow, callback)


async def test_state_expires_after_ten_minutes(flow: OAuthFlow, clock: Clock) -> None:
    callback = await flow.authorize(await flow.start())
    clock.move(601)
    await refused(flow, callback)


async def test_code_at_the_callback_of_another_provider_is_refused(flow: OAuthFlow, provider: FakeOpenId) -> None:
    callback = await flow.authorize(await flow.start("corp"))
    await refused(flow, callback.replace("/oauth/corp/", "/oauth/other/"))
    assert provider.count("/token") == 0


@pytest.mark.parametrize("parameter", ["state", "code", "iss"])
async def test_a_doubled_parameter_is_refused(parameter: str, flow: OAuthFlow) -> None:
    callback = await flow.authorize(await flow.start())
    await refused(flow, f"{callback}&{parameter}=again")


@pytest.mark.parametrize("iss", [GONE, "", "https://evil.example"])
async def test_iss_is_required_if_announced(iss: object, flow: OAuthFlow, provider: FakeOpenId) -> None:
    await refused(flow, changed(await flow.authorize(await flow.start()), iss=iss))
    assert provider.count("/token") == 0


async def test_unannounced_iss_is_compared(flow: OAuthFlow, provider: FakeOpenId) -> None:
    provider.metadata["authorization_response_iss_parameter_supported"] = GONE
    callback = await flow.authorize(await flow.start())
    await refused(flow, changed(callback, iss="https://evil.example"))
    assert (await flow.callback(changed(callback, iss=GONE))).status_code == 400  # its cookie is gone with the first


async def test_iss_may_be_missing_if_not_announced(flow: OAuthFlow, provider: FakeOpenId) -> None:
    provider.metadata["authorization_response_iss_parameter_supported"] = GONE
    assert (await flow.callback(changed(await flow.authorize(await flow.start()), iss=GONE))).status_code == 303


async def test_late_repeat_of_a_callback_redirects_to_the_page(flow: OAuthFlow, provider: FakeOpenId) -> None:
    callback = await flow.authorize(await flow.start(next="/account"))
    await flow.callback(callback)
    for _ in range(2):
        answer = await flow.callback(callback)
        assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    assert provider.count("/token") == 1


async def test_finished_callback_is_useless_to_other_browsers(flow: OAuthFlow, service: Running) -> None:
    callback = await flow.authorize(await flow.start())
    stolen = dict(flow.browser.cookies)
    await flow.callback(callback)
    thief = OAuthFlow(service.another_client(cookies=stolen, client=("198.51.100.1", 1)))
    await refused(thief, callback)
    await flow.browser.post("/sign-out")
    await refused(flow, callback)
    flow.browser.cookies.update(stolen)
    await refused(flow, callback)


async def test_callback_repeated_after_a_lost_response_signs_in(
    flow: OAuthFlow, provider: FakeOpenId, service: Running
) -> None:
    callback = await flow.authorize(await flow.start(next="/account"))
    before = dict(flow.browser.cookies)
    await flow.callback(callback)
    again = OAuthFlow(service.another_client(cookies=before, headers={"Accept": "text/html"}))
    answer = await again.callback(callback)
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    assert await again.user() is not None
    assert await flow.user() is None
    assert provider.count("/token") == 1


async def test_concurrent_callbacks_exchange_the_code_once(flow: OAuthFlow, provider: FakeOpenId) -> None:
    callback = await flow.authorize(await flow.start(next="/account"))
    answers = await asyncio.gather(*(flow.callback(callback) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [303] * 5
    assert provider.count("/token") == 1
    assert await flow.user() is not None


async def test_failed_callback_cannot_be_repeated(flow: OAuthFlow, provider: FakeOpenId) -> None:
    callback = await flow.authorize(await flow.start())
    cookies = dict(flow.browser.cookies)
    provider.instead["/token"] = lambda: Response(status_code=500)
    await refused(flow, callback, 502)
    del provider.instead["/token"]
    flow.browser.cookies.update(cookies)
    await refused(flow, callback)
    assert provider.count("/token") == 1


async def test_sign_in_starts_a_new_session(flow: OAuthFlow) -> None:
    await flow.sign_in()
    before = flow.browser.cookies["tallygate"]
    await flow.sign_in()
    assert flow.browser.cookies["tallygate"] != before
    flow.browser.cookies.set("tallygate", before, domain="tallygate.test")
    assert await flow.user() is None


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "/%2f%2fevil", "x" * 9000]
)
async def test_next_stays_on_this_site(target: str, flow: OAuthFlow) -> None:
    assert (await flow.sign_in(next=target)).headers["location"] == "/"


async def test_an_unknown_provider_is_not_found(flow: OAuthFlow) -> None:
    for path in ("/oauth/nobody/start", "/oauth/nobody/callback?state=x&code=y"):
        assert (await flow.browser.get(path)).status_code == 404


REFUSALS = {"access_denied": 403, "server_error": 502, "temporarily_unavailable": 502, "invalid_scope": 502, "<b>": 502}


@pytest.mark.parametrize("error", REFUSALS)
async def test_provider_error_is_shown_at_the_sign_in_page(error: str, flow: OAuthFlow, provider: FakeOpenId) -> None:
    provider.callback = {"error": error, "error_description": "<script>alert(1)</script>", "code": GONE}
    answer = await refused(flow, await flow.authorize(await flow.start()), REFUSALS[error])
    assert "<script>alert" not in answer.text
    assert "/oauth/corp/start" in answer.text


async def test_cancelled_sign_in_keeps_next(flow: OAuthFlow, provider: FakeOpenId) -> None:
    provider.callback = {"error": "access_denied", "code": GONE}
    answer = await flow.callback(await flow.authorize(await flow.start(next="/account/devices")))
    assert (answer.status_code, message(answer), alert(answer)) == (200, "The sign-in was cancelled.", None)
    assert value_of(answer, "next") == "/account/devices"
    assert 'href="/oauth/other/start?next=/account/devices"' in answer.text


async def test_a_callback_without_a_code_is_refused(flow: OAuthFlow, provider: FakeOpenId) -> None:
    await refused(flow, changed(await flow.authorize(await flow.start()), code=GONE))
    assert provider.count("/token") == 0


async def test_unknown_code_is_refused(flow: OAuthFlow) -> None:
    await refused(flow, changed(await flow.authorize(await flow.start()), code="guessed"))


async def test_the_answer_is_in_the_readers_language(flow: OAuthFlow, provider: FakeOpenId) -> None:
    provider.callback = {"error": "access_denied", "code": GONE}
    callback = await flow.authorize(await flow.start())
    answer = await flow.callback(callback, headers={"Accept-Language": "zh"})
    assert 'lang="zh"' in answer.text


async def test_api_signs_in_by_json(flow: OAuthFlow) -> None:
    assert (await flow.browser.get("/api/oauth")).json() == [
        {"name": "corp", "label": "Corp"},
        {"name": "other", "label": "Other"},
    ]
    begun = await flow.browser.post("/api/oauth/corp/start", json={"next": "/account"})
    callback = await flow.authorize(begun.json()["url"])
    answer = await flow.callback(callback, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()) == (200, {"next": "/account"})
    again = await flow.callback(changed(callback, state="x"), headers={"Accept": "application/json"})
    assert (again.status_code, again.headers["content-type"]) == (400, "application/problem+json")
    assert again.json()["request_id"] == again.headers["x-request-id"]


async def test_malformed_invitation_is_not_stored(flow: OAuthFlow) -> None:
    page, invitation = "/" + token_urlsafe(1500), token_urlsafe(1500)
    begun = await flow.browser.post("/api/oauth/corp/start", json={"next": page, "invitation": invitation})
    assert begun.status_code == 200, begun.text
    assert (await flow.callback(await flow.authorize(begun.json()["url"]))).headers["location"] == page


async def test_no_code_token_or_secret_is_in_a_log(
    flow: OAuthFlow,
    provider: FakeOpenId,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    server: Valkey,
) -> None:
    provider.claims = {"aud": "somebody else"}
    callback = await flow.authorize(await flow.start())
    await refused(flow, callback, 502)
    described = {"error": "invalid_client", "error_description": f"no client has the secret {CLIENT_SECRET}"}
    provider.instead["/token"] = lambda: JSONResponse(described, 401)
    await refused(flow, await flow.authorize(await flow.start()), 502)
    said = "".join(capfd.readouterr()) + caplog.text
    assert "sign-in at the provider failed" in said
    secrets = [dict(parse_qsl(urlsplit(callback).query))[name] for name in ("code", "state")]
    secrets += [one.form["code_verifier"] for one in provider.asked if one.path == "/token"]
    assert "no client has the secret ..." in said
    for secret in (*secrets, "s3cret", "Basic"):
        assert secret not in said
