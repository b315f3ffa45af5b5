"""The lock and the fencing number of tokens."""

import pytest

from app.sessions.signing import signing_keys
from app.settings import Settings
from app.store.encryption import Encryption
from app.wechat.store import LOCK_MILLISECONDS, StoredToken, StoredTokens, TokenStore
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
    assert 0 < left <= LOCK_MILLISECONDS == 15_000
    await tokens.release("one")
    assert await tokens.acquire("other")


async def test_failed_token_alone_is_expired(tokens: TokenStore) -> None:
    await tokens.save(StoredToken("fresh", 2, 1), await tokens.acquire("one"))
    await tokens.expire("failed")
    assert (await tokens.read()).expires == 2
    await tokens.expire("fresh")
    assert (await tokens.read()).expires == 0
