"""What the tests of accounts share: stores on the session's Valkey, and a clock that they move."""

from collections.abc import AsyncIterator

import pytest

from app.store.client import Store
from app.store.connect import topology
from app.store.pipeline import Argument, Reply
from tests.clock import Clock
from tests.valkey import Valkey


class Stammering(Store):
    """Sends twice whatever may be sent again, as after a lost answer, and tells the second answer."""

    async def idempotent(self, *command: Argument) -> Reply:
        await super().idempotent(*command)
        return await super().idempotent(*command)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(server: Valkey) -> AsyncIterator[Store]:
    async with Store(topology(server.url, timeout=10), timeout=10) as store:
        yield store


@pytest.fixture
async def stammering(server: Valkey) -> AsyncIterator[Store]:
    async with Stammering(topology(server.url, timeout=10), timeout=10) as store:
        yield store
