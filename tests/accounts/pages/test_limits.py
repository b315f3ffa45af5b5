"""Too many attempts: each page says how long to wait, and keeps what was typed and the other ways in."""

import httpx
import pytest

from app.accounts.second_factors.passkeys import Passkey
from app.accounts.second_factors.totp import new_totp_secret
from app.accounts.sign_in.rate_limits import RateLimits
from tests.accounts.conftest import Start
from tests.accounts.pages.reading import value_of
from tests.helpers.cast import PASSWORD, make_cast, signed_in
from tests.helpers.clock import Clock

WAIT = "The next attempt is possible in 7 minutes."
LOCALHOST = "http://localhost"


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every limit that these pages ask is reached."""

    async def wait(self: RateLimits, key: str) -> int:
        return 400

    for name in ("second_factor", "sign_up", "confirming"):
        monkeypatch.setattr(RateLimits, name, wait)


def check(page: httpx.Response) -> None:
    assert (page.status_code, page.headers["retry-after"]) == (429, "400")
    assert WAIT in page.text


@pytest.mark.usefixtures("limited")
async def test_the_code_step_offers_the_passkey_and_the_way_back(start: Start) -> None:
    async with start() as service:
        user = (await make_cast(service)).bob
        await service.state["second_factors"].set_totp(user.id, new_totp_secret(), 1)
        await service.state["second_factors"].add_passkey(user.id, Passkey("aWQ", "laptop", "", 0, created=1.0))
        browser = service.another_client(base_url=LOCALHOST)
        await browser.post("/sign-in", data={"username": "bob", "password": PASSWORD, "next": "/sites"})
        page = await browser.post("/sign-in/second-factor", data={"code": "123456", "next": "/sites"})
        check(page)
        assert 'action="/sign-in/passkey"' in page.text
        assert 'href="/sign-in?next=/sites"' in page.text
        as_json = {"Accept": "application/json"}
        answer = await browser.post("/sign-in/second-factor", data={"code": "123456"}, headers=as_json)
        assert (answer.status_code, answer.json()["retry_after"]) == (429, 400)


@pytest.mark.usefixtures("limited")
async def test_sign_up_keeps_the_name_and_the_way_to_sign_in(start: Start) -> None:
    async with start(registration="open") as service:
        data = {"username": "dora", "password": PASSWORD, "next": "/sites"}
        page = await service.client.post("/sign-up", data=data)
        check(page)
        assert (value_of(page, "username"), value_of(page, "next")) == ("dora", "/sites")
        assert 'href="/sign-in?next=/sites"' in page.text


@pytest.mark.usefixtures("limited")
async def test_confirm_keeps_the_form_and_the_way_back(start: Start, clock: Clock) -> None:
    async with start() as service:
        await make_cast(service)
        browser = await signed_in(service, "bob")
        clock.move(3600)
        data = {"name": "backup", "days": "30", "confirm_password": "wrong"}
        page = await browser.post("/account/tokens", data=data)
        check(page)
        assert (value_of(page, "name"), value_of(page, "days")) == ("backup", "30")
        assert '<a href="/account/tokens">Cancel</a>' in page.text
