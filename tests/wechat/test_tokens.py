"""The lock and the fencing number of tokens."""

import httpx
import pytest

from app.sessions.signing import signing_keys
from app.settings import Settings
from app.store.encryption import Encryption
from app.wechat import access_tokens
from app.wechat.store import LOCK_MILLISECONDS, StoredToken, StoredTokens, TokenStore
from dev.wechat.api import WeChatApi
from tests.helpers.service import Running


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
