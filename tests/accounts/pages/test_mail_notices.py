"""Mails under way when the service stops, and notices of each change of the ways in."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.accounts.conftest import Start
from tests.accounts.pages.test_mail import ADDRESS, forgotten, mail_settings, settled
from tests.accounts.second_factors.conftest import LOCALHOST, add_passkey, code, password, set_up_app, visitor
from tests.fakes.smtp import SmtpFake, smtp_fake
from tests.helpers.authenticator import Authenticator
from tests.helpers.cast import make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.waiting import eventually


@pytest.fixture
async def server_fake() -> AsyncIterator[SmtpFake]:
    async with smtp_fake() as fake:
        yield fake


async def test_a_stop_waits_for_mails_under_way(start: Start, server_fake: SmtpFake) -> None:
    async with start(**mail_settings(server_fake.url)) as service:
        cast = await make_cast(service)
        await service.state["users"].set_email(cast.bob.id, ADDRESS, verified=True)
        server_fake.ready.clear()
        await forgotten(service, "bob")

        async def under_way() -> bool:
            return bool(server_fake.connections)

        await eventually(under_way)
        asyncio.get_running_loop().call_later(0.2, server_fake.ready.set)
    assert [each["To"] for each in server_fake.mails] == [ADDRESS]
    async with start() as later:
        assert not await later.state["store"].idempotent("HLEN", "{mail}:jobs")


async def test_the_owner_is_told_of_each_change_of_the_ways_in(
    start: Start, server_fake: SmtpFake, clock: Clock
) -> None:
    async with start(**mail_settings(server_fake.url) | {"public_url": LOCALHOST}) as service:
        cast = await make_cast(service)
        await service.state["users"].set_email(cast.bob.id, ADDRESS, verified=True)
        alice, bob = [await signed_in(service, name, base_url=LOCALHOST) for name in ("alice", "bob")]
        _, codes = await set_up_app(bob, clock)
        await add_passkey(bob, Authenticator())
        browser = visitor(service)
        await password(browser)
        assert (await code(browser, codes[0])).status_code == 303
        assert (await bob.post("/account/security/remove", data={"factor": "totp"})).status_code == 303
        assert (await alice.delete(f"/api/users/{cast.bob.id}/second-factors")).is_success
        assert (await bob.post("/account/name", data={"username": "robert"})).status_code == 303
        await settled(service)
    told = sorted(each.get_content().splitlines()[0].partition(": ")[2] for each in server_fake.mails)
    assert told == [
        "a passkey was added.",
        "a recovery code was used to sign in.",
        "an administrator removed all second factors.",
        "an authenticator app was added.",
        "new recovery codes were made.",
        "the authenticator app was removed.",
        "the username was changed.",
    ]
    assert {each["To"] for each in server_fake.mails} == {ADDRESS}
