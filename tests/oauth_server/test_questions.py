"""The pages between a request and its response: consent, and what a user sees who may not go on."""

import asyncio

import httpx
import pytest

from tests.helpers.cast import PASSWORD, Cast, signed_in
from tests.helpers.forms import Forms
from tests.helpers.service import Running
from tests.oauth_server.conftest import BACK, RelyingParty, answer


@pytest.fixture
async def app(service: Running, cast: Cast) -> RelyingParty:
    return RelyingParty(await signed_in(service, "bob"), "asks")


def waiting(page: httpx.Response) -> str:
    (form,) = (form for form in Forms(page.text).forms if form.action == "/oauth2/consent")
    return form.fields["request"]


async def decide(app: RelyingParty, request_id: str, **fields: str) -> httpx.Response:
    return await app.browser.post("/oauth2/consent", data={"request": request_id} | fields)


async def test_a_double_click_on_allow_is_one_consent(service: Running, app: RelyingParty) -> None:
    request_id = waiting(await app.authorize())
    clicks = await asyncio.gather(*(decide(app, request_id, answer="allow") for _ in range(3)))
    assert sorted(click.status_code for click in clicks) == [200, 400, 400]
    (one,) = (click for click in clicks if click.status_code == 200)
    assert (await app.redeem(one.text.split("code=")[1].partition("&")[0])).status_code == 200
    entries = (await service.state["audit"].page()).entries
    assert [each.event for each in entries].count("consent_given") == 1


@pytest.mark.parametrize("fields", [{}, {"answer": ""}, {"answer": "Allow"}, {"answer": "x"}])
async def test_an_answer_that_is_neither_allow_nor_deny_shows_the_question_again(
    app: RelyingParty, fields: dict[str, str]
) -> None:
    again = await decide(app, waiting(await app.authorize()), **fields)
    assert again.status_code == 200
    assert (await app.browser.get("/api/account/grants")).json() == []
    assert "code=" in (await decide(app, waiting(again), answer="allow")).text


async def test_tabs_that_start_at_once_in_a_new_browser_all_finish(service: Running, cast: Cast) -> None:
    app = RelyingParty(service.another_client(), "app")
    asked = [await RelyingParty(service.another_client(), "app").authorize(state=state) for state in "abc"]
    for response in asked:  # each was sent before the browser had a cookie of another
        app.browser.cookies.update(response.cookies)
    form = {"username": "bob", "password": PASSWORD, "next": "/"}
    assert (await app.browser.post("/sign-in", data=form)).status_code == 303
    for response, state in zip(asked, "abc", strict=True):
        page = await app.browser.get(httpx.URL(response.headers["location"]).params["next"])
        assert f"state={state}" in page.text
    assert not [name for name in app.browser.cookies if "authorize" in name]


async def test_a_browser_keeps_the_latest_requests(app: RelyingParty) -> None:
    first, *others = [waiting(await app.authorize()) for _ in range(12)]
    assert len([name for name in app.browser.cookies if "authorize" in name]) == 10
    assert (await decide(app, first, answer="allow")).status_code == 404
    assert (await decide(app, others[-1], answer="allow")).status_code == 200


async def test_an_app_is_called_by_its_scheme(app: RelyingParty) -> None:
    app.client, app.back = "native", "com.example.app:/cb"
    page = await decide(app, waiting(await app.authorize()), answer="allow")
    assert '<h1 class="name">Continue to com.example.app</h1>' in page.text
    assert "url=com.example.app:/cb?code=" in page.text


async def test_allow_after_the_session_has_ended_asks_to_sign_in(app: RelyingParty) -> None:
    request_id = waiting(await app.authorize())
    assert (await app.browser.delete("/api/session")).status_code == 204
    asked = await decide(app, request_id, answer="allow")
    assert asked.headers["location"].startswith("/sign-in?")
    form = {"username": "bob", "password": PASSWORD, "next": httpx.URL(asked.headers["location"]).params["next"]}
    back = await app.browser.post("/sign-in", data=form)
    assert waiting(await app.browser.get(back.headers["location"])) == request_id


async def test_a_sign_in_as_another_user_than_the_hint_names_is_an_error(service: Running, app: RelyingParty) -> None:
    app.client = "app"
    hint = (await app.sign_in())["id_token"]
    other = RelyingParty(await signed_in(service, "charlie"))
    asked = await other.authorize(id_token_hint=hint)
    assert asked.headers["location"].startswith("/sign-in?")
    form = {"username": "charlie", "password": PASSWORD, "next": httpx.URL(asked.headers["location"]).params["next"]}
    back = await other.browser.post("/sign-in", data=form)
    page = await other.browser.get(back.headers["location"])
    assert f"{BACK}?error=login_required" in page.text
    asked = await other.authorize(id_token_hint=hint)
    form |= {"username": "bob", "next": httpx.URL(asked.headers["location"]).params["next"]}
    back = await other.browser.post("/sign-in", data=form)
    assert "code=" in (await other.browser.get(back.headers["location"])).text


async def test_refusal_goes_back_as_the_client_asked(app: RelyingParty, cast: Cast) -> None:
    app.client = "staff"
    page = await app.authorize(response_mode="form_post")
    assert page.status_code == 403
    (form,) = (form for form in Forms(page.text).forms if form.action == BACK)
    assert form.fields.pop("error_description")
    assert form.fields == {"error": "access_denied", "state": "s t&ate", "iss": "http://tallygate.test"}
    assert "form-action 'self' https://app.example.com;" in page.headers["content-security-policy"]
    assert f"{BACK}?" not in page.text
    assert answer(await app.authorize(response_mode="query", prompt="none"))["error"] == "access_denied"
