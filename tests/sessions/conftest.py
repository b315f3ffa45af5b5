"""What the tests of sessions share: the service on a clock that they move, and its cast."""

from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from app.settings import Settings
from tests.helpers.cast import Cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running


@pytest.fixture
async def service(make_settings: Callable[..., Settings], clock: Clock) -> AsyncIterator[Running]:
    async with running(make_settings(), clock) as service:
        yield service


@pytest.fixture
async def elsewhere(make_settings: Callable[..., Settings], clock: Clock) -> AsyncIterator[Running]:
    """Another worker on the same Valkey."""
    async with running(make_settings(), clock) as service:
        yield service


@pytest.fixture
async def signed_in_bob(service: Running, cast: Cast) -> httpx.AsyncClient:
    return await signed_in(service, "bob")
