"""Invitations: good for one, until used, withdrawn or too old."""

import pytest

from app.accounts.invitations.invitations import Invitation, Invitations
from app.store.client import Store
from tests.helpers.clock import Clock
from tests.helpers.valkey import Valkey


@pytest.fixture
def invitations(store: Store, clock: Clock) -> Invitations:
    return Invitations(store, clock=clock)


async def test_invitation_is_found_by_its_secret(invitations: Invitations) -> None:
    secret = await invitations.create("alice", lifetime=60)
    assert len(secret) == 43
    assert await invitations.peek(secret)


async def test_those_that_can_be_used_are_listed_the_next_to_end_first(invitations: Invitations, clock: Clock) -> None:
    later = await invitations.create("alice", lifetime=3600)
    clock.move(1)
    await invitations.create("bob", lifetime=60)
    first, second = await invitations.list()
    assert first == Invitation(first.id, "bob", clock(), clock() + 60)
    assert second == Invitation(second.id, "alice", clock() - 1, clock() + 3599)
    assert await invitations.withdraw(first.id)
    assert await invitations.list() == (second,)
    assert await invitations.peek(later)


async def test_expired_invitation_is_refused(invitations: Invitations, clock: Clock, server: Valkey) -> None:
    secret = await invitations.create("alice", lifetime=60)
    clock.move(59.9)
    assert await invitations.peek(secret)
    clock.move(0.1)
    assert not await invitations.peek(secret)
    assert await invitations.list() == ()
    await invitations.create("alice", lifetime=60)
    with server.client as client:
        assert client.zcard("{accounts}:invitations") == 1


async def test_withdrawn_invitation_is_refused(invitations: Invitations) -> None:
    secret = await invitations.create("alice", lifetime=60)
    (invitation,) = await invitations.list()
    assert await invitations.withdraw(invitation.id)
    assert not await invitations.withdraw(invitation.id)
    assert not await invitations.peek(secret)


@pytest.mark.parametrize("secret", ["", "x", "x" * 43, "é" * 43, "\ud800", "x" * 1_000_000])
async def test_malformed_invitation_is_refused(invitations: Invitations, secret: str) -> None:
    await invitations.create("alice", lifetime=60)
    assert not await invitations.peek(secret)


async def test_an_invitation_cannot_be_used_by_its_id(invitations: Invitations) -> None:
    await invitations.create("alice", lifetime=60)
    (invitation,) = await invitations.list()
    assert not await invitations.peek(invitation.id)


async def test_invitation_secret_is_hashed_and_expires(invitations: Invitations, server: Valkey) -> None:
    secret = await invitations.create("alice", lifetime=60)
    (invitation,) = await invitations.list()
    with server.client as client:
        for key in client.scan_iter("*"):
            assert secret.encode() not in key + (client.dump(key) or b"")
        assert 0 < client.ttl(f"{{accounts}}:invitation:{invitation.id}") <= 60


async def test_repeated_creation_makes_one_invitation(stammering: Store, clock: Clock) -> None:
    invitations = Invitations(stammering, clock=clock)
    await invitations.create("alice", lifetime=60)
    assert len(await invitations.list()) == 1
