"""The lock and the fencing number of tokens."""

import httpx
import pytest

from app.sessions.signing import signing_keys
from app.settings import Settings
from app.store.encryption import Encryption
from app.wechat import access_tokens
from app.wechat.store import LOCK_MILLISECONDS, StoredToken, StoredTokens, TokenStore
from dev.wechat.api import WeChatApi
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running
from tests.wechat.conftest import TOKEN

INFO = "/wechat/shop/cgi-bin/user/info?openid=o1"


@pytest.fixture
def tokens(service: Running, wechat_settings: Settings) -> TokenStore:
    encryption = Encryption(signing_keys(wechat_settings), "wechat")
    return StoredTokens(service.state["tracking"], encryption).of("test", "access_token")


async def test_slow_older_answer_does_not_replace_a_newer_token(tokens: TokenStore, service: Running) -> None:
    older = await tokens.acquire("slow")
    await service.state["store"].idempotent("DEL", "{wechat:test}:access_token:lock")  # it has expired
    newer = await tokens.acquire("fast")
    assert 0 < older < newer
    assert await tokens.save(StoredToken("new", 2, 1), newer)
    assert not await tokens.save(StoredToken("old", 2, 1), older)
    assert (await tokens.read()).value == "new"


async def test_holder_releases_its_own_lock_only(tokens: TokenStore, service: Running) -> None:
    assert await tokens.acquire("one")
    await tokens.release("other")
    assert await tokens.acquire("other") == 0
    left = await service.state["store"].idempotent("PTTL", "{wechat:test}:access_token:lock")
    assert 0 < left <= LOCK_MILLISECONDS < 1000 * access_tokens.WAIT
    await tokens.release("one")
    assert await tokens.acquire("other")


async def test_lock_is_renewed_by_its_holder_alone(tokens: TokenStore, service: Running) -> None:
    lock = "{wechat:test}:access_token:lock"
    assert await tokens.acquire("one")
    for holder, renewed in (("other", False), ("one", True)):
        await service.state["store"].idempotent("PEXPIRE", lock, 1000)
        await tokens.renew(holder)
        assert (await service.state["store"].idempotent("PTTL", lock) > 1000) is renewed


async def test_failed_token_alone_is_expired(tokens: TokenStore) -> None:
    await tokens.save(StoredToken("fresh", 2, 1), await tokens.acquire("one"))
    await tokens.expire("failed")
    assert (await tokens.read()).expires == 2
    await tokens.expire("fresh")
    assert (await tokens.read()).expires == 0


async def test_twenty_refreshes_are_forced_in_any_day_and_30_s_apart(tokens: TokenStore) -> None:
    now = 1_800_000_000.0
    assert await tokens.may_force(now)
    assert not await tokens.may_force(now + 29.9)
    hours = [hour for hour in range(1, 60) if await tokens.may_force(now + hour * 3600)]
    assert hours == [*range(1, 20), *range(24, 44), *range(48, 60)]
    later = now + 10 * 86_400
    assert [await tokens.may_force(later + number * 30) for number in range(22)] == [True] * 20 + [False] * 2


async def test_a_holder_that_does_not_end_is_waited_for_3_s_at_most(
    program: httpx.AsyncClient, service: Running, wechat: WeChatApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert access_tokens.WAIT == 3
    monkeypatch.setattr(access_tokens, "WAIT", 0.2)
    await service.state["store"].idempotent("SET", "{wechat:shop}:access_token:lock", "gone", "PX", 600_000)
    answer = await program.get("/wechat/shop/cgi-bin/user/info?openid=o1")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert not wechat.asked


async def test_call_that_always_fails_costs_other_calls_no_token(program: httpx.AsyncClient, wechat: WeChatApi) -> None:
    wechat.errors["/cgi-bin/user/info"] = [40001] * 100
    for _ in range(5):
        assert (await program.get("/wechat/shop/cgi-bin/user/info?openid=o1")).json()["errcode"] == 40001
        before = wechat.count("/cgi-bin/stable_token")
        for _ in range(2):
            assert "tags" in (await program.get("/wechat/shop/cgi-bin/tags/get")).json()
        assert wechat.count("/cgi-bin/stable_token") == before


async def test_classic_token_is_asked_for_anew(wechat_settings: Settings, wechat: WeChatApi) -> None:
    account = wechat_settings.wechat["shop"] | {"token_api": "classic"}
    settings = wechat_settings.model_copy(update={"wechat": {"shop": account}})
    async with running(settings, wechat.clock) as service:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        for _ in range(2):
            assert (await service.client.get(INFO, headers=headers)).json()["openid"] == "o1"
            wechat.expire()
    assert (wechat.count("/cgi-bin/token"), wechat.count("/cgi-bin/stable_token")) == (2, 0)


async def test_call_that_always_fails_does_not_use_up_the_quota_of_classic_tokens(
    wechat_settings: Settings, wechat: WeChatApi, clock: Clock
) -> None:
    account = wechat_settings.wechat["shop"] | {"token_api": "classic"}
    wechat.errors["/cgi-bin/user/info"] = [40001] * 1000
    async with running(wechat_settings.model_copy(update={"wechat": {"shop": account}}), clock) as service:
        program = service.another_client(headers={"Authorization": f"Bearer {TOKEN}"})
        for _ in range(50):
            answer = await program.get(INFO)
            assert (answer.status_code, answer.json()["errcode"]) == (200, 40001)
        assert wechat.count("/cgi-bin/token") == 11
        assert "tags" in (await program.get("/wechat/shop/cgi-bin/tags/get")).json()
        clock.move(601)
        await program.get(INFO)
        assert wechat.count("/cgi-bin/token") == 12
