"""The access token at its end: one refresh, and nobody fails, in two workers."""

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from app.settings import Settings
from app.wechat import access_tokens, store
from app.wechat.access_tokens import MARGIN
from dev.wechat import api
from dev.wechat.api import LIFETIME, WeChatApi
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running
from tests.helpers.sockets import PATIENCE
from tests.wechat.conftest import TOKEN, hashed

INFO = "/wechat/shop/cgi-bin/user/info?openid=o1"
STABLE = "/cgi-bin/stable_token"
DAY = 86_400
LOCK = "{wechat:shop}:access_token:lock"


async def ask(*workers: Running, number: int = 40) -> Counter[int]:
    """How many of the askers got which status."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    clients = [worker.client for worker in workers]
    answers = await asyncio.gather(*(clients[i % len(clients)].get(INFO, headers=headers) for i in range(number)))
    assert all(answer.json().get("openid") == "o1" for answer in answers if answer.status_code == 200)
    return Counter(answer.status_code for answer in answers)


async def refreshed(clock: Clock, *workers: Running) -> None:
    """Waits until each worker knows a token that has more than its margin left."""
    async with asyncio.timeout(PATIENCE):
        for worker in workers:
            token_cache = (await worker.state["wechat"].get("shop")).access_token
            while (await token_cache.status()).expires - clock() <= MARGIN:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("age", [LIFETIME - MARGIN, LIFETIME])
async def test_forty_requests_at_expiry_cause_one_refresh(
    service: Running, elsewhere: Running, wechat: WeChatApi, clock: Clock, age: int
) -> None:
    assert await ask(service, elsewhere) == {200: 40}
    clock.move(age)
    assert await ask(service, elsewhere) == {200: 40}
    await refreshed(clock, service, elsewhere)
    assert wechat.count(STABLE) == 2


async def test_dead_lock_holder_fails_no_call_within_the_margin(
    service: Running, elsewhere: Running, wechat: WeChatApi, clock: Clock
) -> None:
    await ask(service, number=1)
    clock.move(LIFETIME - MARGIN)
    await service.state["store"].idempotent("SET", LOCK, "dead", "PX", 60_000)
    assert await ask(service, elsewhere) == {200: 40}
    await service.state["store"].idempotent("DEL", LOCK)  # it has expired
    clock.move(10)
    assert await ask(service, elsewhere) == {200: 40}
    await refreshed(clock, service, elsewhere)
    assert wechat.count(STABLE) == 2


async def test_without_a_valid_token_a_dead_holder_is_waited_for(
    service: Running, wechat: WeChatApi, clock: Clock
) -> None:
    redis = service.state["store"]
    await redis.idempotent("SET", LOCK, "dead", "PX", 60_000)
    asked = asyncio.create_task(ask(service, number=10))
    await asyncio.sleep(0.2)
    await redis.idempotent("DEL", LOCK)
    assert await asked == {200: 10}
    assert wechat.count(STABLE) == 1


async def test_slow_answer_of_wechat_keeps_the_lock(
    service: Running, elsewhere: Running, wechat: WeChatApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LOCK_MILLISECONDS", 200)
    monkeypatch.setattr(access_tokens, "RENEW_INTERVAL", 0.05)
    real = wechat.next_error

    def slow(path: str) -> int:
        if path == STABLE:
            time.sleep(0.6)  # the simulator runs in a thread of its own
        return real(path)

    monkeypatch.setattr(wechat, "next_error", slow)
    assert await ask(service, elsewhere) == {200: 40}
    assert wechat.count(STABLE) == 1


async def test_failing_refresh_ahead_is_not_tried_by_every_request(
    service: Running, wechat: WeChatApi, clock: Clock
) -> None:
    await ask(service, number=1)
    clock.move(LIFETIME - MARGIN)
    wechat.errors[STABLE] = [-1] * 100
    for _ in range(5):
        assert await ask(service, number=5) == {200: 5}
        async with asyncio.timeout(PATIENCE):
            while wechat.count(STABLE) < 2:
                await asyncio.sleep(0.01)
    assert wechat.count(STABLE) == 2


async def test_token_that_lives_shorter_than_the_margin_is_refreshed_at_half_its_life(
    service: Running, wechat: WeChatApi, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "LIFETIME", 60)
    for _ in range(3):
        assert await ask(service, number=5) == {200: 5}
    assert wechat.count(STABLE) == 1
    clock.move(30)
    assert await ask(service, number=5) == {200: 5}
    async with asyncio.timeout(PATIENCE):
        while wechat.count(STABLE) < 2:
            await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_one_day_takes_twelve_to_fourteen_tokens_without_failures(
    wechat_settings: Settings, wechat: WeChatApi, clock: Clock
) -> None:
    """Ten services over four workers, every four minutes: less than the margin."""
    tokens = [f"tgs_{number}" + "d" * 42 for number in range(10)]
    services = {f"s{n}": {"tokens": hashed(token), "wechat": {"shop": {}}} for n, token in enumerate(tokens)}
    settings = wechat_settings.model_copy(update={"services": services})
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(running(settings, clock)) for _ in range(4)]
        for step in range(DAY // 240):
            bearers = [{"Authorization": f"Bearer {tokens[(step + n) % 10]}"} for n in range(4)]
            answers = await asyncio.gather(
                *(worker.client.get(INFO, headers=bearer) for worker, bearer in zip(workers, bearers, strict=True))
            )
            assert [answer.json().get("openid") for answer in answers] == ["o1"] * 4
            await refreshed(clock, *workers)
            clock.move(240)
    assert 12 <= wechat.count(STABLE) <= 14
