"""Programs behind the gateway: API tokens as Bearer and as the password of Basic."""

import asyncio
import base64

from app.accounts.api_tokens.tokens import USE_INTERVAL
from app.settings import Settings
from tests.gateway.conftest import FILES, Browser
from tests.helpers.cast import Cast
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running
from tests.helpers.sockets import PATIENCE


async def test_token_stands_for_a_session(browser: Browser, service: Running, cast: Cast) -> None:
    secret, token = await service.state["tokens"].create(cast.bob.id, "git")
    basic = base64.b64encode(f"anything:{secret}".encode()).decode()
    for credentials in (f"Bearer {secret}", f"bearer {secret}", f"Basic {basic}"):
        answer = await browser.verify("/bob", Authorization=credentials, Accept="*/*")
        assert answer.status_code == 200, credentials
        assert answer.headers["remote-user"] == "bob"
    commands = service.state["store"].commands
    for _ in range(3):
        assert (await browser.verify("/bob", Authorization=f"Bearer {secret}", Accept="*/*")).status_code == 200
    assert service.state["store"].commands == commands, "a token that was used before is cached"
    await service.state["tokens"].revoke(cast.bob.id, token.id)
    answer = await browser.verify("/bob", Authorization=f"Bearer {secret}", Accept="*/*")
    assert answer.status_code == 401


async def test_scopes_of_a_token_say_what_it_may_do_at_a_host(browser: Browser, service: Running, cast: Cast) -> None:
    for scopes, reads, writes in (
        (["gateway:read"], 200, 403), (["read", "sites:write"], 200, 403), (["gateway:write"], 200, 200),
        (["write"], 200, 200), (["sites:write", "account:read"], 403, 403),
    ):  # fmt: skip
        secret, _ = await service.state["tokens"].create(cast.bob.id, "git", scopes=scopes)
        for method, expected in [("GET", reads), ("POST", writes), ("PROPFIND", writes), ("GET", reads)]:
            answer = await browser.verify("/", method=method, Authorization=f"Bearer {secret}", Accept="*/*")
            assert answer.status_code == expected, (scopes, method)
            if expected == 403:
                assert answer.json()["scope"] == ("gateway:read" if method == "GET" else "gateway:write")


async def test_use_of_a_token_is_noted(browser: Browser, service: Running, cast: Cast, clock: Clock) -> None:
    tokens = service.state["tokens"]
    secret, _ = await tokens.create(cast.bob.id, "git")
    for _ in range(2):
        assert (await browser.verify("/bob", Authorization=f"Bearer {secret}", Accept="*/*")).status_code == 200
        (token,) = await tokens.list(cast.bob.id)
        assert token.used == clock()
        clock.move(USE_INTERVAL)


async def test_token_that_another_worker_revokes_is_refused(
    browser: Browser, service: Running, gateway_settings: Settings, cast: Cast
) -> None:
    secret, token = await service.state["tokens"].create(cast.bob.id, "git")
    headers = {"Authorization": f"Bearer {secret}", "Accept": "*/*"}
    assert (await browser.verify("/bob", **headers)).status_code == 200
    async with running(gateway_settings) as other, asyncio.timeout(PATIENCE):
        await other.state["tokens"].revoke(cast.bob.id, token.id)
        while (await browser.verify("/bob", **headers)).status_code == 200:
            await asyncio.sleep(0.01)


async def test_credentials_of_the_application_are_left_to_it(browser: Browser) -> None:
    await browser.sign_in("bob")
    await browser.enter()
    assert (await browser.verify(Authorization="Basic dXNlcjpwYXNz")).status_code == 200
    assert (await browser.verify(Authorization="Bearer eyJhbGciOi")).status_code == 200
    assert (await browser.verify("/", FILES, Authorization="Basic ====")).status_code == 302
