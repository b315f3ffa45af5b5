"""How often something may be tried: the same for all workers, by account and by address."""

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.accounts.sign_in.rate_limits import RateLimits
from app.store.client import Store
from app.store.rate_limit import RateLimiter, address_key
from tests.helpers.valkey import Valkey

Spend = Callable[[RateLimits], Awaitable[int]]


@pytest.fixture
def limits(store: Store) -> RateLimits:
    return RateLimits(RateLimiter(store))


async def allowed(spend: Callable[[], Awaitable[int]], tries: int) -> int:
    """How many of so many tries were allowed."""
    return [await spend() for _ in range(tries)].count(0)


@pytest.mark.parametrize(
    ("spend", "times", "seconds"),
    [
        (lambda limits: limits.sign_in("alice", "192.0.2.1"), 10, 300),
        (lambda limits: limits.sign_up("192.0.2.1"), 10, 3600),
        (lambda limits: limits.setup("192.0.2.1"), 10, 3600),
        (lambda limits: limits.password_change("alice's id"), 10, 3600),
        (lambda limits: limits.renaming("alice's id"), 10, 3600),
        (lambda limits: limits.invitation("a secret"), 20, 3600),
        (lambda limits: limits.inviting("alice's id"), 50, 3600),
    ],
)
async def test_rate_limit_rule_refills_evenly(limits: RateLimits, spend: Spend, times: int, seconds: int) -> None:
    assert await allowed(lambda: spend(limits), times + 2) == times
    wait = await spend(limits)
    assert 0 < wait <= seconds / times
    limits.limiter.ahead += wait
    assert await allowed(lambda: spend(limits), 2) == 1
    limits.limiter.ahead += seconds
    assert await allowed(lambda: spend(limits), times + 2) == times


async def test_address_limit_counts_all_accounts(limits: RateLimits) -> None:
    waits = [await limits.sign_in(f"user{number}", "192.0.2.1") for number in range(52)]
    assert waits.count(0) == 50
    assert 0 < waits[-1] <= 6
    assert await limits.sign_in("user51", "192.0.2.2") == 0


async def test_an_account_is_limited_whatever_the_addresses(limits: RateLimits) -> None:
    waits = [await limits.sign_in("alice", f"192.0.2.{number}") for number in range(12)]
    assert waits.count(0) == 10
    assert await limits.sign_in("bob", "192.0.2.11") == 0


async def test_refused_attempt_spends_nothing(limits: RateLimits) -> None:
    await allowed(lambda: limits.sign_in("alice", "192.0.2.1"), 100)
    assert await allowed(lambda: limits.sign_in("bob", "192.0.2.1"), 10) == 10
    limits.limiter.ahead += 30
    assert await limits.sign_in("alice", "192.0.2.1") == 0


async def test_right_password_resets_the_account_limit_only(limits: RateLimits) -> None:
    assert await allowed(lambda: limits.sign_in("alice", "192.0.2.1"), 11) == 10
    await limits.signed_in("alice")
    assert await allowed(lambda: limits.sign_in("alice", "192.0.2.1"), 11) == 10
    for name in ("bob", "carol", "dave"):
        await allowed(lambda name=name: limits.sign_in(name, "192.0.2.1"), 10)  # type: ignore[misc]
    await limits.signed_in("alice")
    assert await limits.sign_in("alice", "192.0.2.1") > 0


async def test_workers_share_rate_limits(store: Store) -> None:
    workers = [RateLimits(RateLimiter(store)) for _ in range(4)]
    waits = await asyncio.gather(*(worker.sign_up("192.0.2.1") for worker in workers for _ in range(10)))
    assert waits.count(0) == 10


async def test_rate_limits_store_no_names_and_expire(limits: RateLimits, server: Valkey) -> None:
    await limits.sign_in("my-password-in-the-wrong-field", "192.0.2.77")
    await limits.sign_in("\ud800", "")
    await limits.invitation("the-secret")
    with server.client as client:
        found = list(client.scan_iter("*"))
        assert len(found) == 5
        for key in found:
            assert not any(word in key for word in (b"password", b"192.0.2", b"secret"))
            assert 0 < client.pttl(key) <= 3_600_000


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", "unknown"),
        ("unix:", "unknown"),
        ("192.0.2.1, 192.0.2.2", "unknown"),
        ("192.0.2.1:80", "unknown"),
    ],
)
def test_an_address_stands_for_a_household(address: str, key: str) -> None:
    assert address_key(address) == key


@given(st.ip_addresses(v=6, network="2001:db8::/32"), st.integers(0, 2**64 - 1))
def test_a_network_of_64_bits_is_one_address(address: IPv6Address, host: int) -> None:
    neighbour = IPv6Address(int(address) >> 64 << 64 | host)
    stranger = IPv6Address(int(address) ^ 1 << 64)
    assert address_key(str(address)) == address_key(str(neighbour))
    assert address_key(str(address)) != address_key(str(stranger))


@pytest.mark.slow
@given(st.text())
def test_every_limited_text_has_a_key(text: str) -> None:
    assert address_key(text)
