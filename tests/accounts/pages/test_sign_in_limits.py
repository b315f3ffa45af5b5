"""How often somebody may try to sign in: by account, by address, and who cannot talk a way around it."""

import httpx
import pytest

from app.accounts.passwords.hashing import PasswordHashing
from tests.accounts.conftest import Start
from tests.accounts.pages.reading import status
from tests.helpers.cast import PASSWORD, Cast, make_cast, signed_in
from tests.helpers.service import Running


def visitor(service: Running, address: str, **headers: str) -> httpx.AsyncClient:
    """A browser at this address."""
    return service.another_client(client=(address, 50000), headers=headers)


async def attempt(client: httpx.AsyncClient, name: str, password: str = "not that") -> int:
    return (await client.post("/api/session", json={"username": name, "password": password})).status_code


async def exhaust(service: Running, address: str) -> None:
    """What an address may try is used up, on names that nobody has; and for a minute nothing of it comes back."""
    for number in range(50):
        assert not await service.state["limits"].sign_in(f"nobody {number}", address)
    service.state["rate_limiter"].ahead -= 60


async def test_an_account_takes_ten_wrong_passwords_then_not_even_the_right_one(service: Running, cast: Cast) -> None:
    for number in range(10):
        assert await attempt(visitor(service, f"198.51.100.{number}"), "bob") == 401
    answer = await service.client.post("/sign-in", data={"username": "BOB", "password": PASSWORD})
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 30
    assert "Too many attempts" in answer.text
    assert "You can try again in 1 minute." in answer.text
    assert await status(service.client) == 401
    assert await attempt(service.client, "charlie", PASSWORD) == 200


async def test_unknown_account_is_limited_too(service: Running, cast: Cast) -> None:
    answers = [await attempt(service.client, "nobody") for _ in range(11)]
    assert answers == [401] * 10 + [429]


async def test_a_disabled_account_is_limited_like_any_other(service: Running, cast: Cast) -> None:
    await service.state["accounts"].set_disabled(cast.bob.id, True)
    answers = [await attempt(service.client, "bob", PASSWORD) for _ in range(11)]
    assert answers == [401] * 10 + [429]


async def test_the_api_says_in_its_own_way_when_to_try_again(service: Running, cast: Cast) -> None:
    await exhaust(service, "192.0.2.1")
    answer = await service.client.post("/api/session", json={"username": "bob", "password": PASSWORD})
    assert answer.status_code == 429
    problem = answer.json()
    assert answer.headers["retry-after"] == str(problem["retry_after"])
    assert problem["title"] == "Too many attempts"


async def test_right_password_resets_the_account_limit(service: Running, cast: Cast) -> None:
    for _ in range(2):
        assert [await attempt(service.client, "bob") for _ in range(9)] == [401] * 9
        assert await attempt(service.client, "bob", PASSWORD) == 200


async def test_retry_after_tells_when_to_try_again(service: Running, cast: Cast) -> None:
    for _ in range(11):
        last = await service.client.post("/sign-in", data={"username": "bob", "password": "not that"})
    service.state["rate_limiter"].ahead = int(last.headers["retry-after"])
    assert await attempt(service.client, "bob", PASSWORD) == 200


async def test_address_limit_stops_password_spraying(service: Running, cast: Cast) -> None:
    await exhaust(service, "198.51.100.1")
    assert await attempt(visitor(service, "198.51.100.1"), "bob", PASSWORD) == 429
    assert await attempt(visitor(service, "198.51.100.2"), "bob", PASSWORD) == 200


async def test_ipv6_network_counts_as_one_address(service: Running, cast: Cast) -> None:
    await exhaust(service, "2001:db8:0:1::1")
    assert await attempt(visitor(service, "2001:db8:0:1:ffff::2"), "bob", PASSWORD) == 429
    assert await attempt(visitor(service, "2001:db8:0:2::1"), "bob", PASSWORD) == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-Connecting-IP"])
async def test_forged_forwarded_header_is_ignored(service: Running, cast: Cast, header: str) -> None:
    await exhaust(service, "198.51.100.1")
    value = "for=203.0.113.9" if header == "Forwarded" else "203.0.113.9"
    assert await attempt(visitor(service, "198.51.100.1", **{header: value}), "bob", PASSWORD) == 429


async def test_behind_a_trusted_proxy_each_client_has_an_allowance_of_its_own(start: Start) -> None:
    async with start(trusted_proxies="192.0.2.0/24") as service:
        await make_cast(service)
        await exhaust(service, "198.51.100.1")
        behind = visitor(service, "192.0.2.7", **{"X-Forwarded-For": "203.0.113.9, 198.51.100.1"})
        assert await attempt(behind, "bob", PASSWORD) == 429
        behind = visitor(service, "192.0.2.7", **{"X-Forwarded-For": "198.51.100.1, 203.0.113.9"})
        assert await attempt(behind, "bob", PASSWORD) == 200
        (device,) = (await behind.get("/api/account/sessions")).json()
        assert device["address"] == "203.0.113.9"
        stranger = visitor(service, "198.51.100.1", **{"X-Forwarded-For": "203.0.113.9"})
        assert await attempt(stranger, "bob", PASSWORD) == 429


async def test_refused_attempts_do_not_flood_the_audit_log(service: Running, cast: Cast) -> None:
    alice = await signed_in(service, "alice")
    await exhaust(service, "198.51.100.1")
    flood = visitor(service, "198.51.100.1")
    assert {await attempt(flood, "bob") for _ in range(20)} == {429}
    entries = (await alice.get("/api/audit", params={"event": "sign_in_limited"})).json()["entries"]
    assert len(entries) == 1


async def test_more_passwords_at_once_than_can_be_hashed_are_put_off(service: Running, cast: Cast) -> None:
    service.state["passwords"] = PasswordHashing(threads=1, waiting=-1)
    for path, form in (
        ("/sign-in", {"username": "bob", "password": PASSWORD}),
        ("/api/session", None),
    ):
        json = {"username": "bob", "password": PASSWORD} if form is None else None
        answer = await service.client.post(path, data=form, json=json)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert "Too many people are signing in right now." in answer.text
    service.state["passwords"] = PasswordHashing(threads=1, memory=8, rounds=1)
    assert await attempt(service.client, "bob", PASSWORD) == 200
