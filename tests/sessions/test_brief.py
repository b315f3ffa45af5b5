"""Without "Stay signed in" the cookie ends with the browser, and the session after hours without a request."""

from collections.abc import Callable

import httpx
import pytest

from app.settings import Settings
from tests.helpers.cast import PASSWORD, make_cast
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running
from tests.sessions.opened import HTTPS

HOUR = 3600


async def by_page(client: httpx.AsyncClient, stay: bool) -> httpx.Response:
    fields = {"username": "bob", "password": PASSWORD} | ({"stay": "on"} if stay else {})
    return await client.post("/sign-in", data=fields)


async def by_api(client: httpx.AsyncClient, stay: bool) -> httpx.Response:
    return await client.post("/api/session", json={"username": "bob", "password": PASSWORD, "stay_signed_in": stay})


def ends_with_the_browser(answer: httpx.Response) -> bool:
    (line,) = (one for one in answer.headers.get_list("set-cookie") if one.startswith("__Host-tallygate="))
    return "Max-Age" not in line and "Expires" not in line


async def status(client: httpx.AsyncClient) -> int:
    return (await client.get("/api/session")).status_code


@pytest.mark.parametrize("session_store", ["redis", "cookie"])
@pytest.mark.parametrize("sign_in", [by_page, by_api])
async def test_session_without_stay_signed_in_ends_after_hours(
    make_settings: Callable[..., Settings],
    clock: Clock,
    session_store: str,
    sign_in: Callable[[httpx.AsyncClient, bool], object],
) -> None:
    async with running(make_settings(session_store=session_store), clock=clock) as service:
        await make_cast(service)
        brief, staying = service.another_client(base_url=HTTPS), service.another_client(base_url=HTTPS)
        assert ends_with_the_browser(await sign_in(brief, False))  # type: ignore[misc]
        assert not ends_with_the_browser(await sign_in(staying, True))  # type: ignore[misc]
        clock.move(11 * HOUR)
        used = await brief.get("/account")  # the cookie of a session that is whole in it is set anew
        assert all("Max-Age" not in line for line in used.headers.get_list("set-cookie"))
        clock.move(11 * HOUR)
        assert await status(brief) == 200
        clock.move(12 * HOUR)
        assert await status(brief) == 401
        assert await status(staying) == 200


async def test_a_session_stays_as_it_is_when_it_goes_on_under_a_new_id(service: Running) -> None:
    await make_cast(service)
    browser = service.another_client(base_url=HTTPS)
    await by_page(browser, False)
    changed = await browser.post("/account/password", data={"current": PASSWORD, "new": "a lantern over rivers"})
    assert changed.status_code == 303
    assert ends_with_the_browser(changed)


async def test_a_shorter_idle_timeout_holds_for_both(make_settings: Callable[..., Settings], clock: Clock) -> None:
    async with running(make_settings(session_idle_timeout=HOUR), clock=clock) as service:
        await make_cast(service)
        brief = service.another_client(base_url=HTTPS)
        await by_page(brief, False)
        clock.move(HOUR)
        assert await status(brief) == 401
