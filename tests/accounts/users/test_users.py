"""Users in Redis: made whole or not at all, one to a name, and never without an administrator."""

import asyncio

import pytest

from app.accounts.invitations.invitations import Invitations
from app.accounts.models import User
from app.accounts.users.names import BadName
from app.accounts.users.store import AccountStore, AdminExists, BadInvitation, LastAdmin, NameTaken, NoSuchUser
from app.store.client import Store
from tests.accounts.conftest import outcomes
from tests.helpers.clock import Clock
from tests.helpers.valkey import Valkey


def user_keys(server: Valkey) -> list[bytes]:
    with server.client as client:
        return list(client.scan_iter("{accounts}:user:*"))


async def test_a_new_user_is_found_by_id_and_by_any_spelling_of_the_name(accounts: AccountStore, clock: Clock) -> None:
    alice = await accounts.create(" Alice ", "a hash")
    assert alice == User(alice.id, "Alice", False, False, None, clock(), True)
    assert len(bytes.fromhex(alice.id)) == 16
    assert await accounts.by_id(alice.id) == alice
    assert await accounts.by_name("ＡLICE") == alice
    assert await accounts.credentials("alice") == (alice, "a hash")
    assert await accounts.password_hash(alice.id) == "a hash"


async def test_a_user_without_a_password_has_none(accounts: AccountStore) -> None:
    bob = await accounts.create("bob", None)
    assert not bob.has_password
    assert await accounts.by_id(bob.id) == bob
    assert await accounts.credentials("bob") == (bob, None)
    assert await accounts.password_hash(bob.id) is None


@pytest.mark.parametrize("name", ["nobody", "", "x" * 10_000, "\ud800", "a b"])
async def test_unknown_name_finds_no_user(accounts: AccountStore, name: str) -> None:
    await accounts.create("somebody", "a hash")
    assert await accounts.by_name(name) is None
    assert await accounts.credentials(name) == (None, None)
    assert await accounts.by_id("nobody") is None


async def test_impossible_name_is_refused(accounts: AccountStore, server: Valkey) -> None:
    with pytest.raises(BadName):
        await accounts.create("a/b", "a hash")
    assert not user_keys(server)


async def test_a_name_that_compares_equal_is_taken_and_its_owner_untouched(
    accounts: AccountStore, server: Valkey
) -> None:
    strasse = await accounts.create("Straße", "hers")
    with pytest.raises(NameTaken):
        await accounts.create("STRASSE", "mine", is_admin=True)
    assert await accounts.credentials("strasse") == (strasse, "hers")
    assert len(user_keys(server)) == 1
    assert not await accounts.has_admin()


async def test_concurrent_creations_of_one_name_make_one_user(
    accounts: AccountStore, store: Store, server: Valkey
) -> None:
    elsewhere = AccountStore(store)
    winners, losers = await outcomes(
        [place.create(name, name) for place in (accounts, elsewhere) for name in ("Bob", "bob", "BOB", "ｂｏｂ")]
    )
    assert len(winners) == 1
    assert [type(loser) for loser in losers] == [NameTaken] * 7
    assert await accounts.credentials("bob") == (winners[0], winners[0].name)
    assert len(user_keys(server)) == 1


async def test_there_is_one_first_administrator(accounts: AccountStore, store: Store) -> None:
    assert not await accounts.has_admin()
    elsewhere = AccountStore(store)
    winners, losers = await outcomes(
        [place.create(name, "a hash", first_admin=True) for name in ("a", "b", "c") for place in (accounts, elsewhere)]
    )
    assert len(winners) == 1
    assert winners[0].is_admin
    assert [type(loser) for loser in losers] == [AdminExists] * 5
    assert await accounts.has_admin()
    with pytest.raises(AdminExists):
        await accounts.create(winners[0].name, "a hash", first_admin=True)


async def test_the_first_administrator_cannot_take_over_a_user(accounts: AccountStore) -> None:
    await accounts.create("alice", "hers")
    with pytest.raises(NameTaken):
        await accounts.create("Alice", "mine", first_admin=True)
    assert not await accounts.has_admin()


async def test_setup_nonce_is_stable_until_there_is_an_administrator(
    accounts: AccountStore, store: Store, server: Valkey
) -> None:
    nonces = await asyncio.gather(*(place.setup_nonce() for place in (accounts, AccountStore(store), accounts)))
    assert len(set(nonces)) == 1
    assert len(nonces[0]) == 32
    await accounts.create("alice", None)
    assert await accounts.setup_nonce() == nonces[0]
    await accounts.create("admin", "a hash", first_admin=True)
    with pytest.raises(AdminExists):
        await accounts.setup_nonce()
    with server.client as client:
        assert not client.exists("{accounts}:setup:nonce")


async def test_emptied_store_has_another_setup_link(accounts: AccountStore, server: Valkey) -> None:
    before = await accounts.setup_nonce()
    with server.client as client:
        client.flushall()
    assert await accounts.setup_nonce() != before


async def test_one_worker_prints_the_setup_link(accounts: AccountStore, server: Valkey) -> None:
    workers = ["one", "two", "three", "four"]
    prints = await asyncio.gather(*(accounts.first_to_print("a start", worker) for worker in workers))
    assert prints.count(True) == 1
    # Also when the answer was lost, and it asks again.
    assert await accounts.first_to_print("a start", workers[prints.index(True)])
    with server.client as client:
        assert 0 < client.ttl("{accounts}:setup:printed:a start") <= 3600
    assert await accounts.first_to_print("the start after it", "one")


async def test_changed_fields_are_read_back(accounts: AccountStore) -> None:
    bob = await accounts.create("bob", None)
    await accounts.set_password(bob.id, "a hash")
    await accounts.set_locale(bob.id, "zh")
    await accounts.set_admin(bob.id, True)
    assert await accounts.by_id(bob.id) == User(bob.id, "bob", True, False, "zh", bob.created, True)
    await accounts.create("alice", None, is_admin=True)
    await accounts.set_admin(bob.id, False)
    await accounts.set_disabled(bob.id, True)
    await accounts.set_locale(bob.id, None)
    assert await accounts.by_id(bob.id) == User(bob.id, "bob", False, True, None, bob.created, True)
    await accounts.set_disabled(bob.id, False)
    assert await accounts.by_id(bob.id) == User(bob.id, "bob", False, False, None, bob.created, True)


async def test_change_of_an_unknown_user_creates_nothing(accounts: AccountStore, server: Valkey) -> None:
    for attempt in (
        accounts.set_password("nobody", "a hash"), accounts.set_locale("nobody", "zh"),
        accounts.set_admin("nobody", True), accounts.set_disabled("nobody", True),
    ):  # fmt: skip
        with pytest.raises(NoSuchUser):
            await attempt
    assert not await accounts.replace_password("nobody", "old", "new")
    assert not user_keys(server)
    assert not await accounts.has_admin()


async def test_a_rehash_never_brings_an_old_password_back(accounts: AccountStore) -> None:
    alice = await accounts.create("alice", "old")
    assert await accounts.replace_password(alice.id, "old", "old, stronger")
    assert await accounts.password_hash(alice.id) == "old, stronger"
    await accounts.set_password(alice.id, "new")
    assert not await accounts.replace_password(alice.id, "old, stronger", "old, even stronger")
    assert await accounts.password_hash(alice.id) == "new"


async def test_last_administrator_keeps_the_role(accounts: AccountStore) -> None:
    alice = await accounts.create("alice", "a hash", first_admin=True)
    await accounts.create("bob", "a hash")
    with pytest.raises(LastAdmin):
        await accounts.set_admin(alice.id, False)
    with pytest.raises(LastAdmin):
        await accounts.set_disabled(alice.id, True)
    assert await accounts.by_id(alice.id) == alice
    await accounts.set_admin(alice.id, True)
    await accounts.set_disabled(alice.id, False)
    assert await accounts.by_id(alice.id) == alice


async def test_a_disabled_administrator_does_not_count_as_the_other_one(accounts: AccountStore) -> None:
    alice = await accounts.create("alice", "a hash", first_admin=True)
    bob = await accounts.create("bob", "a hash", is_admin=True)
    await accounts.set_disabled(bob.id, True)
    with pytest.raises(LastAdmin):
        await accounts.set_admin(alice.id, False)
    await accounts.set_disabled(bob.id, False)
    await accounts.set_admin(alice.id, False)
    with pytest.raises(LastAdmin):
        await accounts.set_disabled(bob.id, True)
    assert await accounts.has_admin()


async def test_disabled_administrator_counts_once_enabled(accounts: AccountStore) -> None:
    alice = await accounts.create("alice", "a hash", first_admin=True)
    bob = await accounts.create("bob", "a hash")
    await accounts.set_disabled(bob.id, True)
    await accounts.set_admin(bob.id, True)
    with pytest.raises(LastAdmin):
        await accounts.set_disabled(alice.id, True)
    await accounts.set_disabled(bob.id, False)
    await accounts.set_disabled(alice.id, True)


async def test_concurrent_removals_leave_one_administrator(accounts: AccountStore, store: Store) -> None:
    alice = await accounts.create("alice", "a hash", first_admin=True)
    bob = await accounts.create("bob", "a hash", is_admin=True)
    results = await asyncio.gather(
        accounts.set_admin(alice.id, False),
        AccountStore(store).set_disabled(bob.id, True),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["LastAdmin", "NoneType"]
    assert await accounts.has_admin()


async def test_invitation_survives_a_taken_name(accounts: AccountStore, store: Store, clock: Clock) -> None:
    invitations = Invitations(store, clock=clock)
    secret = await invitations.create("alice", lifetime=60)
    await accounts.create("bob", None)
    with pytest.raises(NameTaken):
        await accounts.create("Bob", None, invitation=secret)
    assert await invitations.peek(secret)
    carol = await accounts.create("carol", None, invitation=secret)
    assert await accounts.by_name("carol") == carol
    assert not await invitations.peek(secret)
    with pytest.raises(BadInvitation):
        await accounts.create("dave", None, invitation=secret)
    assert await accounts.by_name("dave") is None


async def test_concurrent_sign_ups_use_an_invitation_once(accounts: AccountStore, store: Store, clock: Clock) -> None:
    secret = await Invitations(store, clock=clock).create("alice", lifetime=60)
    elsewhere = AccountStore(store, clock=clock)
    winners, losers = await outcomes(
        [place.create(f"{name}{number}", None, invitation=secret)
         for name, place in (("a", accounts), ("b", elsewhere)) for number in range(4)]
    )  # fmt: skip
    assert len(winners) == 1
    assert [type(loser) for loser in losers] == [BadInvitation] * 7


@pytest.mark.parametrize("secret", ["", "x", "x" * 43, "\ud800"])
async def test_bad_invitation_hides_taken_names(accounts: AccountStore, secret: str) -> None:
    await accounts.create("bob", None)
    for name in ("bob", "carol"):
        with pytest.raises(BadInvitation):
            await accounts.create(name, None, invitation=secret)


async def test_an_old_invitation_is_refused(accounts: AccountStore, store: Store, clock: Clock) -> None:
    secret = await Invitations(store, clock=clock).create("alice", lifetime=60)
    clock.move(60)
    with pytest.raises(BadInvitation):
        await accounts.create("bob", None, invitation=secret)
