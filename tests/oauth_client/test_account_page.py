"""What fails while an identity is linked or unlinked is said on the account page, to who is signed in."""

import httpx
import pytest
from starlette.responses import Response

from tests.accounts.pages.reading import alert, message
from tests.fakes.noted import GONE
from tests.fakes.openid import FakeOpenId
from tests.helpers.cast import signed_in
from tests.helpers.oauth_flow import OAuthFlow, identity_ids, link
from tests.helpers.service import Running


def told(answer: httpx.Response) -> tuple[int, str | None]:
    """(status, alert) of an answer that is the account page with a reference."""
    assert "Linked accounts" in answer.text
    assert answer.headers["x-request-id"] in answer.text.partition("<main")[2]
    return answer.status_code, alert(answer)


async def test_linking_an_identity_of_another_user_explains_itself(bob: OAuthFlow, service: Running) -> None:
    await link(bob)
    charlie = OAuthFlow(await signed_in(service, "charlie", headers={"Accept": "text/html"}))
    assert told(await link(charlie)) == (409, "This identity is linked to another account.")


async def test_unlinking_the_last_way_in_explains_itself(flow: OAuthFlow) -> None:
    await flow.sign_in()
    (identity,) = await identity_ids(flow)
    path, data = "/account/identities/unlink", {"id": identity}
    answer = await flow.browser.post(path, data=data)
    assert told(answer) == (409, "This is your only way to sign in. Set a password first.")
    answer = await flow.browser.post(path, data=data, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["title"]) == (409, "Conflict")


async def test_unavailable_provider_explains_itself(bob: OAuthFlow, provider: FakeOpenId) -> None:
    provider.instead["/.well-known/openid-configuration"] = lambda: Response(status_code=503)
    status, sentence = told(await bob.browser.post("/account/identities/corp"))
    assert (status, sentence is not None and "does not respond" in sentence) == (502, True)


async def test_cancelled_consent_explains_itself(bob: OAuthFlow, provider: FakeOpenId) -> None:
    provider.callback = {"error": "access_denied", "code": GONE}
    answer = await link(bob)
    assert answer.headers["location"] == "/account"
    assert message(await bob.browser.get("/account")) == "The sign-in was cancelled."
    assert await identity_ids(bob) == []


async def test_name_and_picture_follow_the_provider(flow: OAuthFlow, provider: FakeOpenId) -> None:
    provider.user |= {"name": "Jane Roe", "picture": "https://pictures.example/jane.png"}
    await flow.sign_in()
    page = (await flow.browser.get("/account")).text
    assert page.count('src="https://pictures.example/jane.png"') == 2
    assert "Jane Roe" in page
    provider.user |= {"name": "Jane Doe", "picture": "https://pictures.example/older.png"}
    await flow.sign_in()
    page = (await flow.browser.get("/account")).text
    assert "Jane Doe" in page
    assert "older.png" in page
    assert "jane.png" not in page


@pytest.mark.parametrize("picture", ["http://a.example/x.png", "javascript:alert(1)", 7, "https://" + "x" * 2000])
async def test_bad_picture_url_is_not_shown(picture: object, flow: OAuthFlow, provider: FakeOpenId) -> None:
    provider.user["picture"] = picture
    await flow.sign_in()
    page = await flow.browser.get("/account")
    assert page.status_code == 200
    assert 'class="avatar large" aria-hidden="true"' in page.text
    assert "<img class" not in page.text
