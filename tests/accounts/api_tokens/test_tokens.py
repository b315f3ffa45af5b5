"""API tokens: shown once, kept as a hash, gone when revoked or too old."""

import asyncio
import re

import pytest

from app.accounts.api_tokens.tokens import MAX_TOKENS, ApiTokens, TokenInfo, TooManyTokens
from app.store.client import Store
from tests.helpers.clock import Clock
from tests.helpers.valkey import Valkey


@pytest.fixture
def tokens(store: Store, clock: Clock) -> ApiTokens:
    return ApiTokens(store, clock=clock)


async def test_token_is_found_by_its_secret(tokens: ApiTokens, clock: Clock) -> None:
    secret, token = await tokens.create("alice", "backup", lifetime=60)
    assert re.fullmatch(r"tgt_[A-Za-z0-9_-]{43}", secret)
    assert token == TokenInfo(token.id, "alice", "backup", clock(), clock() + 60)
    assert await tokens.by_secret(secret) == token
    assert await tokens.list("alice") == (token,)
    assert await tokens.list("bob") == ()


async def test_redis_never_sees_the_secret(tokens: ApiTokens, server: Valkey) -> None:
    secret, _ = await tokens.create("alice", "backup")
    with server.client as client:
        found = list(client.scan_iter("*"))
        assert len(found) == 2
        for key in found:
            content = key + (client.dump(key) or b"")
            assert secret.encode() not in content
            assert secret.removeprefix("tgt_").encode() not in content


@pytest.mark.parametrize(
    "secret",
    ["", "tgt_", "tgt_" + "x" * 43, "x" * 47, "tgt_" + "x" * 42 + "\n", "\ud800", "tgt_" + "é" * 43, "x" * 1_000_000],
)
async def test_malformed_token_is_refused(tokens: ApiTokens, secret: str) -> None:
    await tokens.create("alice", "backup")
    assert await tokens.by_secret(secret) is None


async def test_use_is_noted_once_in_ten_minutes_from_whatever_address(tokens: ApiTokens, clock: Clock) -> None:
    secret, _ = await tokens.create("alice", "backup")
    for seconds, address, noted in ((0, "192.0.2.1", "192.0.2.1"), (1, "192.0.2.2", "192.0.2.1"), (600, "::1", "::1")):
        clock.move(seconds)
        assert await tokens.use(secret, address)
        assert [each.used_from for each in await tokens.list("alice")] == [noted]


async def test_a_token_id_is_not_its_secret(tokens: ApiTokens) -> None:
    _, token = await tokens.create("alice", "backup")
    assert await tokens.by_secret(token.id) is None
    assert await tokens.by_secret("tgt_" + token.id[:43]) is None


async def test_token_expires(tokens: ApiTokens, clock: Clock, server: Valkey) -> None:
    secret, token = await tokens.create("alice", "backup", lifetime=60)
    clock.move(59.9)
    assert await tokens.by_secret(secret) == token
    clock.move(0.1)
    assert await tokens.by_secret(secret) is None
    assert await tokens.list("alice") == ()
    with server.client as client:
        assert 0 < client.ttl(f"{{accounts}}:token:{token.id}") <= 60


async def test_token_without_a_lifetime_does_not_expire(tokens: ApiTokens, clock: Clock, server: Valkey) -> None:
    secret, token = await tokens.create("alice", "backup")
    clock.move(10 * 365 * 86_400)
    assert await tokens.by_secret(secret) == token
    assert token.expires is None
    with server.client as client:
        assert client.ttl(f"{{accounts}}:token:{token.id}") == -1


async def test_a_revoked_token_is_dead_and_the_others_live(tokens: ApiTokens, clock: Clock) -> None:
    first, first_info = await tokens.create("alice", "first")
    clock.move(1)
    second, second_info = await tokens.create("alice", "second")
    assert await tokens.list("alice") == (second_info, first_info)
    assert await tokens.revoke("alice", first_info.id)
    assert await tokens.by_secret(first) is None
    assert await tokens.by_secret(second) == second_info
    assert await tokens.list("alice") == (second_info,)
    assert not await tokens.revoke("alice", first_info.id)


async def test_token_of_another_user_cannot_be_revoked(tokens: ApiTokens) -> None:
    secret, token = await tokens.create("alice", "backup")
    assert not await tokens.revoke("bob", token.id)
    assert not await tokens.revoke("alice", "nonsense")
    assert await tokens.by_secret(secret) == token


async def test_a_user_has_fifty_tokens_at_most(tokens: ApiTokens, clock: Clock) -> None:
    results = await asyncio.gather(
        *(tokens.create("alice", "", lifetime=60) for _ in range(MAX_TOKENS + 3)), return_exceptions=True
    )
    assert [type(result) for result in results].count(TooManyTokens) == 3
    assert len(await tokens.list("alice")) == MAX_TOKENS
    await tokens.create("bob", "")
    clock.move(60)
    await tokens.create("alice", "after the others have ended")
    assert len(await tokens.list("alice")) == 1


async def test_repeated_creation_makes_one_token(stammering: Store, clock: Clock) -> None:
    tokens = ApiTokens(stammering, clock=clock)
    made = [(await tokens.create("alice", str(number)))[1] for number in range(MAX_TOKENS)]
    assert {token.id for token in await tokens.list("alice")} == {token.id for token in made}
    with pytest.raises(TooManyTokens):
        await tokens.create("alice", "one too many")


async def test_long_and_broken_names_are_cut(tokens: ApiTokens) -> None:
    secret, token = await tokens.create("alice", "\ud800" + "x" * 1000)
    assert token.name == "?" + "x" * 99
    assert await tokens.by_secret(secret) == token
