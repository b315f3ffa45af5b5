"""Secret keys rotate: the new one signs, old ones still verify, and one that was removed does not."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from app.accounts.models import User
from app.settings import Settings
from tests.helpers.service import Running, running
from tests.sessions.opened import check, opened

FIRST, SECOND, THIRD = ({"secret_key": f"the {which} key of thirty-two characters"} for which in ("1st", "2nd", "3rd"))


def after(key: dict[str, str], *old: dict[str, str]) -> dict[str, object]:
    return {"secret_key": key["secret_key"], "old_secret_keys": [each["secret_key"] for each in old]}


async def a_user(service: Running) -> User:
    user: User | None = await service.state["accounts"].by_name("bob")
    return user or await service.state["accounts"].create("bob", None)


@pytest.mark.parametrize("session_store", ["redis", "cookie"])
async def test_keys_rotate(make_settings: Callable[..., Settings], session_store: str) -> None:
    def workers(**keys: object) -> Settings:
        return make_settings(session_store=session_store, **keys)

    async with running(workers(**after(FIRST))) as service:
        first = await opened(service, await a_user(service))
    async with running(workers(**after(SECOND, FIRST))) as service:
        assert await check(service, first) == 200
        second = await opened(service, await a_user(service))
    async with running(workers(**after(THIRD, FIRST, SECOND))) as service:
        assert await check(service, first) == await check(service, second) == 200
    async with running(workers(**after(FIRST))) as service:  # the new key has signed, not the old one
        assert await check(service, second) == 401
        assert await check(service, first) == 200
    async with running(workers(**after(THIRD, SECOND))) as service:
        assert await check(service, first) == 401
        assert await check(service, second) == 200


async def test_rolling_update_signs_no_user_out_if_the_new_key_verifies_first(
    make_settings: Callable[..., Settings],
) -> None:
    """Old and new pods at the same time, in each of the three steps that docs/deploy.md tells."""
    steps = [after(FIRST), after(FIRST, SECOND), after(SECOND, FIRST), after(SECOND)]
    for old, new in pairwise(steps):
        async with running(make_settings(**old)) as leaving, running(make_settings(**new)) as arriving:
            user = await a_user(leaving)
            cookies = [await opened(service, user) for service in (leaving, arriving)]
            if new != steps[-1]:  # before the last step all sessions of the first key have ended
                assert [await check(service, cookie) for service in (leaving, arriving) for cookie in cookies] == [
                    200
                ] * 4
            else:
                assert [await check(service, cookies[1]) for service in (leaving, arriving)] == [200, 200]


async def test_keys_of_two_stores_are_not_interchangeable(make_settings: Callable[..., Settings]) -> None:
    """A signature that was made for one purpose is worth nothing for another, though the key is the same."""
    async with running(make_settings()) as in_redis, running(make_settings(session_store="cookie")) as in_cookies:
        user = await a_user(in_redis)
        assert await check(in_cookies, await opened(in_redis, user)) == 401
        assert await check(in_redis, await opened(in_cookies, user)) == 401
