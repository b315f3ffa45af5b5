"""Strangers who guess a password do not lock the owner out of known addresses and browsers."""

import httpx

from app.accounts.sign_in.known_origins import COOKIE
from tests.helpers.cast import PASSWORD, Cast, signed_in
from tests.helpers.service import Running

HOME, OFFICE, STRANGER = ("192.0.2.10", 1), ("198.51.100.20", 1), ("203.0.113.30", 1)


async def attempt(service: Running, origin: tuple[str, int], password: str, device: str = "") -> httpx.Response:
    client = service.another_client(client=origin, cookies={COOKIE: device} if device else None)
    return await client.post("/api/session", json={"username": "Bob", "password": password})


async def lock_out_strangers(service: Running) -> None:
    statuses = [(await attempt(service, STRANGER, f"wrong {number}")).status_code for number in range(12)]
    assert set(statuses) == {401, 429}
    assert statuses[-1] == 429


async def test_known_address_is_not_locked_by_others(service: Running, cast: Cast) -> None:
    await signed_in(service, "bob", client=HOME)
    await lock_out_strangers(service)
    assert (await attempt(service, OFFICE, PASSWORD)).status_code == 429
    assert (await attempt(service, HOME, PASSWORD)).status_code == 200


async def test_known_browser_is_not_locked_by_others(service: Running, cast: Cast) -> None:
    device = (await signed_in(service, "bob", client=HOME)).cookies[COOKIE]
    await signed_in(service, "charlie", client=("192.0.2.77", 1))
    await lock_out_strangers(service)
    assert (await attempt(service, OFFICE, PASSWORD, "x" * 43)).status_code == 429
    assert (await attempt(service, OFFICE, PASSWORD, device)).status_code == 200
    assert (await attempt(service, OFFICE, PASSWORD)).status_code == 200  # known from now on


async def test_browser_is_known_only_for_its_users(service: Running, cast: Cast) -> None:
    shared = await signed_in(service, "charlie", client=HOME)
    charlies = shared.cookies[COOKIE]
    await lock_out_strangers(service)
    assert (await attempt(service, OFFICE, PASSWORD, charlies)).status_code == 429
    service.state["rate_limiter"].ahead += 300
    for name in ("charlie", "bob"):
        answer = await shared.post("/api/session", json={"username": name, "password": PASSWORD})
        assert (answer.status_code, answer.cookies[COOKIE]) == (200, charlies)


async def test_known_origin_has_its_own_limit(service: Running, cast: Cast) -> None:
    await signed_in(service, "bob", client=HOME)
    statuses = [(await attempt(service, HOME, f"wrong {number}")).status_code for number in range(11)]
    assert statuses == [401] * 10 + [429]
    assert (await attempt(service, OFFICE, PASSWORD)).status_code == 200


async def test_refused_sign_in_makes_no_known_origin(service: Running, cast: Cast) -> None:
    assert COOKIE not in (await attempt(service, HOME, "wrong")).cookies
    await lock_out_strangers(service)
    assert (await attempt(service, HOME, PASSWORD)).status_code == 429
