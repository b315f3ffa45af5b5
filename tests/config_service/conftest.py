"""What the tests of the configuration service share: alice, who administers, and bob and charlie."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from app.settings import Settings
from tests.helpers.api import true_to_the_document
from tests.helpers.cast import make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running

__all__ = ["true_to_the_document"]
PATCH = {"Content-Type": "application/merge-patch+json"}


@dataclass
class Office:
    service: Running
    alice: httpx.AsyncClient
    bob: httpx.AsyncClient
    clock: Clock

    async def namespace(self, name: str = "shop", **fields: Any) -> str:
        answer = await self.alice.post("/api/config", json={"name": name} | fields)
        assert answer.status_code == 201, answer.text
        return f"/api/config/{name}"

    async def patch(self, path: str, patch: Any, **headers: str) -> httpx.Response:
        return await self.alice.patch(path, json=patch, headers=PATCH | headers)

    async def grant(self, path: str, role: Any) -> None:
        answer = await self.alice.put(f"{path}/access", json={"users": {"bob": role}})
        assert answer.status_code == 204, answer.text


@pytest.fixture
async def office(make_settings: Callable[..., Settings], clock: Clock) -> AsyncIterator[Office]:
    async with running(make_settings(), clock) as service:
        await make_cast(service)
        yield Office(service, await signed_in(service, "alice"), await signed_in(service, "bob"), clock)
