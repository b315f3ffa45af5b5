"""Users are found by any part of their names, a bounded number at a time."""

import pytest

from app.accounts.models import UserPage
from app.accounts.users import search as user_search
from app.accounts.users.search import UserFilter, UserSearch
from app.accounts.users.store import AccountStore
from app.store.client import Store


async def test_a_search_finds_any_part_of_a_name_page_by_page(accounts: AccountStore, store: Store) -> None:
    names = [f"joanna{number}" for number in range(7)]
    for name in ["Zoe", "ann", "bob", "ANTON", "李伟", *reversed(names)]:
        await accounts.create(name, None)
    search = UserSearch(store)
    page = await search.find(UserFilter("ＡNNA"), limit=3)
    assert [user.name for user in page.users] == names[:3]
    assert page.total == 7
    seen = list(page.users)
    while page.after is not None:
        page = await search.find(UserFilter("anna"), page.after, 3)
        seen += page.users
    assert [user.name for user in seen] == names
    assert seen[0] == await accounts.by_name("joanna0")


async def test_search_reads_a_bounded_number_of_users_per_page(
    accounts: AccountStore, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_search, "MAX_SEARCHED", 4)
    monkeypatch.setattr(user_search, "BATCH", 2)
    for number in range(9):
        await accounts.create(f"user{number}", None)
    first = await UserSearch(store).find(UserFilter("r8"))
    assert (first.users, first.total, first.after) == ((), None, "user3")
    second = await UserSearch(store).find(UserFilter("r8"), "user5")
    assert [user.name for user in second.users] == ["user8"]


async def test_empty_search_lists_all_users_in_order(accounts: AccountStore, store: Store) -> None:
    for name in ["Zoe", "ann", "李伟", "Bob"]:
        await accounts.create(name, None)
    page = await UserSearch(store).find(UserFilter())
    assert [user.name for user in page.users] == ["ann", "Bob", "Zoe", "李伟"]
    assert (page.total, page.after) == (4, None)
    assert (await UserSearch(store).find(UserFilter(), limit=4)).after is None


@pytest.mark.parametrize("text", ["nobody", "\ud800", "[", "(", "-", "+", "\x00", "x" * 10_000])
async def test_search_without_a_match_is_empty(accounts: AccountStore, store: Store, text: str) -> None:
    await accounts.create("alice", None)
    assert await UserSearch(store).find(UserFilter(text)) == UserPage((), 0, None)
    assert (await UserSearch(store).find(UserFilter("a"), "\ud800")).after is None
