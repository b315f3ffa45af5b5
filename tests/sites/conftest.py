"""What the tests of sites share: a service whose clock they move, bob who owns sites, and visitors."""

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
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
JSON = {"Accept": "application/json"}


@dataclass
class Desk:
    """Bob at his desk: his browser, and the service."""

    service: Running
    owner: httpx.AsyncClient
    clock: Clock

    async def site(self, **fields: Any) -> str:
        """The id of a new site of his, at blog.example."""
        answer = await self.owner.post("/api/sites", json={"name": "Blog", "hosts": ["blog.example"]} | fields)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def visitor(self, address: str = "198.51.100.7", **headers: str) -> httpx.AsyncClient:
        return self.service.another_client(client=(address, 50000), headers={"User-Agent": CHROME} | headers)

    async def stats(self, site: str, **query: str) -> dict[str, Any]:
        answer = await self.owner.get(f"/api/sites/{site}/stats", params=query)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def top(self, site: str, kind: str, **query: str) -> list[tuple[str, int, int]]:
        answer = await self.owner.get(f"/api/sites/{site}/top/{kind}", params=query)
        assert answer.status_code == 200, answer.text
        return [(row["name"], row["visits"], row["visitors"]) for row in answer.json()["rows"]]


@pytest.fixture
async def desk(make_settings: Callable[..., Settings], clock: Clock) -> AsyncIterator[Desk]:
    async with running(make_settings(), clock) as service:
        await make_cast(service)
        yield Desk(service, await signed_in(service, "bob"), clock)
