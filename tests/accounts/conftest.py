"""What the tests of accounts share: stores on the session's Valkey, a clock that they move, the cast's browsers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest

from app.accounts.models import User
from app.accounts.users.store import AccountStore
from app.settings import Settings
from app.store.client import Store
from app.store.connection import Argument, Reply
from app.store.topology import topology
from tests.helpers.cast import Cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running
from tests.helpers.valkey import Valkey

Start = Callable[..., AbstractAsyncContextManager[Running]]


class Stammering(Store):
    """Sends twice whatever may be sent again, as after a lost answer, and tells the second answer."""

    async def idempotent(self, *command: Argument, near: str = "") -> Reply:
        await super().idempotent(*command, near=near)
        return await super().idempotent(*command, near=near)


@pytest.fixture
async def store(server: Valkey) -> AsyncIterator[Store]:
    async with Store(topology(server.url, timeout=10), timeout=10) as store:
        yield store


@pytest.fixture
async def stammering(server: Valkey) -> AsyncIterator[Store]:
    async with Stammering(topology(server.url, timeout=10), timeout=10) as store:
        yield store


@pytest.fixture(params=["store", "stammering"])
def accounts(request: pytest.FixtureRequest, clock: Clock) -> AccountStore:
    """Everything holds as well when each command is sent twice."""
    return AccountStore(request.getfixturevalue(request.param), clock=clock)


@pytest.fixture
def start(make_settings: Callable[..., Settings], clock: Clock) -> Start:
    """Runs a worker with these settings, on the session's Valkey unless told otherwise."""

    @asynccontextmanager
    async def started(**changes: Any) -> AsyncIterator[Running]:
        async with running(make_settings(**changes), clock=clock) as service:
            yield service

    return started


@pytest.fixture
async def service(start: Start) -> AsyncIterator[Running]:
    async with start() as service:
        yield service


@pytest.fixture
async def elsewhere(start: Start, service: Running) -> AsyncIterator[Running]:
    """Another worker of the same service."""
    async with start() as other:
        yield other


@pytest.fixture
async def alice(service: Running, cast: Cast) -> httpx.AsyncClient:
    """The administrator's browser."""
    return await signed_in(service, "alice")


@pytest.fixture
async def bob(service: Running, cast: Cast) -> httpx.AsyncClient:
    return await signed_in(service, "bob")


async def outcomes(attempts: Iterable[Awaitable[User]]) -> tuple[list[User], list[BaseException]]:
    """(what came out, what was raised) of attempts at the same moment."""
    results: list[Any] = await asyncio.gather(*attempts, return_exceptions=True)
    return [one for one in results if isinstance(one, User)], [one for one in results if not isinstance(one, User)]
