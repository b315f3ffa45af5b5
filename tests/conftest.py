"""What every test may ask for."""

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import Settings
from tests.service import Running, running
from tests.valkey import Valkey, valkey


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket in it, which pytest's own often is not."""
    with tempfile.TemporaryDirectory(prefix="tg") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def shared_server(short_folder: Path) -> Iterator[Valkey]:
    with valkey(short_folder / "shared") as server:
        yield server


@pytest.fixture
def server(shared_server: Valkey) -> Valkey:
    """The session's Valkey, emptied."""
    with shared_server.client as client:
        client.flushall()
    return shared_server


@pytest.fixture
def make_settings(server: Valkey) -> Callable[..., Settings]:
    """Settings for tests, on the session's Valkey unless told otherwise."""

    def make(**changes: Any) -> Settings:
        return Settings(**{"redis_url": server.url} | changes)

    return make


@pytest.fixture
async def service(make_settings: Callable[..., Settings]) -> AsyncIterator[Running]:
    """The application, running in this process."""
    async with running(make_settings()) as service:
        yield service


@pytest.fixture
def client(service: Running) -> httpx.AsyncClient:
    """A visitor of the service."""
    return service.client
