"""Somebody who came in by a provider that gives refresh tokens."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.fakes.openid import FakeOpenId
from tests.helpers.clock import Clock
from tests.helpers.oauth_flow import OAuthFlow
from tests.helpers.sockets import PATIENCE
from tests.oauth_client.conftest import corp

LIFETIME = 300
"""Seconds that the provider's access tokens live."""


@pytest.fixture
def tables(provider: FakeOpenId) -> dict[str, dict[str, Any]]:
    provider.refresh_tokens = []
    return {"corp": corp(provider, refresh=True), "never": corp(provider, label="Never")}


@pytest.fixture
async def inside(flow: OAuthFlow, clock: Clock) -> OAuthFlow:
    """Somebody whose access token has just expired."""
    await flow.sign_in()
    clock.move(LIFETIME)
    return flow


def refreshes(provider: FakeOpenId) -> list[str]:
    """The refresh tokens that it was asked with."""
    forms = [asked.form for asked in provider.asked if asked.path == "/token"]
    return [form["refresh_token"] for form in forms if form["grant_type"] == "refresh_token"]


@asynccontextmanager
async def held(provider: FakeOpenId) -> AsyncIterator[None]:
    """Within the block the provider answers no refresh."""
    provider.hold = threading.Event()
    try:
        yield
    finally:
        provider.hold.set()


async def so(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.005)
