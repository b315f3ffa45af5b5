"""Another name for a user: had by nobody else, and the one before free, at the same moment."""

import asyncio

import pytest

from app.accounts.models import User
from app.accounts.users.names import BadName
from app.accounts.users.search import UserFilter, UserSearch
from app.accounts.users.store import AccountStore, NameTaken, NoSuchUser
from app.store.client import Store
from tests.helpers.valkey import Valkey


async def names(accounts: AccountStore, server: Valkey) -> dict[str, User | None]:
    """Whose each name is, by its compare key; of what is searched and of what is signed in with the same."""
    with server.client as client:
        owners = {key.decode(): owner.decode() for key, owner in client.hgetall("{accounts}:names").items()}
        assert client.zrange("{accounts}:names:sorted", 0, -1) == sorted(key.encode() for key in owners)
    return {key: await accounts.by_id(owner) for key, owner in owners.items()}


async def test_a_user_is_found_by_the_new_name_and_not_by_the_one_before(
    accounts: AccountStore, store: Store, server: Valkey
) -> None:
    bob = await accounts.create("bob", "a hash", is_admin=True)
    assert await accounts.rename(bob.id, " Ｒobert ") == "bob"
    robert = User(bob.id, "Robert", True, False, None, bob.created, True)
    assert await accounts.credentials("ROBERT") == (robert, "a hash")
    assert await accounts.by_name("bob") is None
    assert (await UserSearch(store).find(UserFilter())).users == (robert,)
    assert await names(accounts, server) == {"robert": robert}


async def test_the_name_before_is_free(accounts: AccountStore) -> None:
    bob = await accounts.create("bob", None)
    await accounts.rename(bob.id, "robert")
    another = await accounts.create("Bob", None)
    with pytest.raises(NameTaken):
        await accounts.rename(bob.id, "bob")
    assert await accounts.by_name("bob") == another


async def test_own_name_in_another_spelling_is_allowed(accounts: AccountStore, server: Valkey) -> None:
    strasse = await accounts.create("Straße", None)
    assert await accounts.rename(strasse.id, "STRASSE") == "Straße"
    found = await accounts.by_name("straße")
    assert found is not None
    assert (found.id, found.name) == (strasse.id, "STRASSE")
    assert await names(accounts, server) == {"strasse": found}


async def test_the_same_name_again_is_no_change(accounts: AccountStore, server: Valkey) -> None:
    bob = await accounts.create("bob", None)
    assert await accounts.rename(bob.id, "bob") is None
    assert await accounts.rename(bob.id, "robert") == "bob"
    assert await accounts.rename(bob.id, "robert") is None
    assert list(await names(accounts, server)) == ["robert"]


@pytest.mark.parametrize(("name", "error"), [("ＡLICE", NameTaken), ("a/b", BadName), ("", BadName)])
async def test_bad_name_changes_nothing(
    accounts: AccountStore, server: Valkey, name: str, error: type[Exception]
) -> None:
    alice, bob = await accounts.create("alice", None), await accounts.create("bob", None)
    with pytest.raises(error):
        await accounts.rename(bob.id, name)
    assert await names(accounts, server) == {"alice": alice, "bob": bob}


async def test_rename_during_a_search_is_no_error(accounts: AccountStore, store: Store, server: Valkey) -> None:
    alice = await accounts.create("alice", None)
    await accounts.create("bob", None)
    with server.client as client:  # what the search has found is nobody's name any more
        client.hdel("{accounts}:names", "bob")
    assert (await UserSearch(store).find(UserFilter())).users == (alice,)


async def test_rename_to_an_empty_name_is_refused(accounts: AccountStore, server: Valkey) -> None:
    with pytest.raises(NoSuchUser):
        await accounts.rename("nobody", "bob")
    assert await names(accounts, server) == {}
    with server.client as client:
        assert not client.exists("{accounts}:user:nobody")


async def test_concurrent_renames_to_one_name_leave_one(accounts: AccountStore, store: Store, server: Valkey) -> None:
    users = [await accounts.create(name, None) for name in ("alice", "bob", "charlie", "dora")]
    places = (accounts, AccountStore(store)) * 2
    wanted = [place.rename(user.id, "robert") for place, user in zip(places, users, strict=True)]
    *renamed, created = await asyncio.gather(*wanted, accounts.create("Robert", None), return_exceptions=True)
    lost = [isinstance(outcome, NameTaken) for outcome in (*renamed, created)]
    assert lost.count(False) == 1
    kept = {user.name for user, loser in zip(users, lost, strict=False) if loser}
    assert set(await names(accounts, server)) == {*kept, "robert"}


async def test_concurrent_renames_of_one_user_leave_one_name(store: Store, server: Valkey) -> None:
    accounts = AccountStore(store)
    bob = await accounts.create("bob", None)
    before = await asyncio.gather(*(accounts.rename(bob.id, f"bob{number}") for number in range(6)))
    user = await accounts.by_id(bob.id)
    assert user is not None
    assert await names(accounts, server) == {user.name: user}
    assert sorted(filter(None, {*before, user.name})) == ["bob", *(f"bob{number}" for number in range(6))]
