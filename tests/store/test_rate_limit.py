"""Allowances, when the clock of Redis jumps."""

import pytest

from app.store.client import Store
from app.store.rate_limit import RateLimiter, Rule

RULE = Rule("test", 5, 60)


@pytest.mark.parametrize("jump", [3600, 172_800, 10**8])
async def test_clock_set_back_limits_for_one_period_at_most(store: Store, jump: int) -> None:
    ahead, after = RateLimiter(store, ahead=jump), RateLimiter(store)
    for _ in range(5):
        assert await ahead.spend((RULE, "carol")) == 0
    assert await after.spend((RULE, "carol")) <= RULE.seconds // RULE.times
    later = RateLimiter(store, ahead=RULE.seconds)
    assert await later.spend((RULE, "carol")) == 0
