"""What the tests of accounts share: the store on the session's Valkey, and a clock that they move."""

from collections.abc import AsyncIterator

import pytest

from app.store.client import Store
from app.store.connect import topology
from tests.valkey import Valkey


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(server: Valkey) -> AsyncIterator[Store]:
    async with Store(topology(server.url, timeout=5), timeout=5) as store:
        yield store
