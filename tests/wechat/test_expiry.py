"""The access token at its end: one refresh, and nobody fails, in two workers."""

import asyncio
from collections import Counter

import pytest

from app.store.client import StoreUnavailable
from app.wechat.access_tokens import MARGIN
from dev.wechat.api import LIFETIME, WeChatApi
from tests.helpers.clock import Clock
from tests.helpers.service import Running
from tests.wechat.conftest import TOKEN

INFO = "/wechat/shop/cgi-bin/user/info?openid=o1"
STABLE = "/cgi-bin/stable_token"
LOCK = "{wechat:shop}:access_token:lock"


async def ask(*workers: Running, number: int = 40) -> Counter[int]:
    """How many of the askers got which status."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    clients = [worker.client for worker in workers]
    answers = await asyncio.gather(*(clients[i % len(clients)].get(INFO, headers=headers) for i in range(number)))
    assert all(answer.json().get("openid") == "o1" for answer in answers if answer.status_code == 200)
    return Counter(answer.status_code for answer in answers)


async def ready(service: Running) -> None:
    """Waits for the end of a refresh ahead of time."""
    keeper = (await service.state["wechat"].get("shop")).access_token
    await asyncio.gather(*keeper._ahead)


@pytest.mark.parametrize("age", [LIFETIME - MARGIN, LIFETIME])
async def test_forty_askers_at_the_end_cause_one_refresh(
    service: Running, elsewhere: Running, wechat: WeChatApi, clock: Clock, age: int
) -> None:
    assert await ask(service, elsewhere) == {200: 40}
    clock.move(age)
    assert await ask(service, elsewhere) == {200: 40}
    for worker in (service, elsewhere):
        await ready(worker)
    assert wechat.count(STABLE) == 2


async def test_a_dead_holder_in_the_margin_fails_nobody(
    service: Running, elsewhere: Running, wechat: WeChatApi, clock: Clock
) -> None:
    await ask(service, number=1)
    clock.move(LIFETIME - MARGIN)
    await service.state["store"].idempotent("SET", LOCK, "dead", "PX", 15_000)
    assert await ask(service, elsewhere) == {200: 40}
    for worker in (service, elsewhere):
        await ready(worker)
    assert wechat.count(STABLE) == 1
    await service.state["store"].idempotent("DEL", LOCK)  # it expires after 15 s
    clock.move(10)
    assert await ask(service, elsewhere) == {200: 40}
    for worker in (service, elsewhere):
        await ready(worker)
    assert wechat.count(STABLE) == 2


async def test_without_a_valid_token_a_dead_holder_is_waited_for(
    service: Running, wechat: WeChatApi, clock: Clock
) -> None:
    store = service.state["store"]
    await store.idempotent("SET", LOCK, "dead", "PX", 15_000)
    asked = asyncio.create_task(ask(service, number=10))
    await asyncio.sleep(0.2)
    await store.idempotent("DEL", LOCK)
    assert await asked == {200: 10}
    assert wechat.count(STABLE) == 1


async def test_a_token_that_cannot_be_stored_is_used(
    service: Running, wechat: WeChatApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = (await service.state["wechat"].get("shop")).access_token

    async def away(*_: object) -> bool:
        raise StoreUnavailable("away", sent=False)

    monkeypatch.setattr(keeper._store, "save", away)
    monkeypatch.setattr(keeper._store, "release", away)
    assert await ask(service, number=5) == {200: 5}


async def test_a_failing_refresh_ahead_is_not_tried_by_every_request(
    service: Running, wechat: WeChatApi, clock: Clock
) -> None:
    await ask(service, number=1)
    clock.move(LIFETIME - MARGIN)
    wechat.errors[STABLE] = [-1] * 100
    for _ in range(5):
        assert await ask(service, number=5) == {200: 5}
        await ready(service)
    assert wechat.count(STABLE) == 2


async def test_a_day_takes_twelve_to_fourteen_tokens_and_fails_nobody(
    service: Running, elsewhere: Running, wechat: WeChatApi, clock: Clock
) -> None:
    keepers = [(await worker.state["wechat"].get("shop")).access_token for worker in (service, elsewhere)]
    for _ in range(24 * 60):
        for keeper in keepers:
            token = await keeper.get()
            assert wechat.tokens[token.value].ends > clock()
        for worker in (service, elsewhere):
            await ready(worker)
        clock.move(60)
    assert 12 <= wechat.count(STABLE) <= 14
