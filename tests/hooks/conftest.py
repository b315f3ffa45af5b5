"""What the tests of hooks share: alice, who administers, and receivers at real sockets."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook as Verifier

from app.settings import Settings
from tests.helpers.api import true_to_the_document
from tests.helpers.cast import make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.receiver import OK, Received, Receiver, receiving
from tests.helpers.service import Running, running
from tests.helpers.sockets import PATIENCE
from tests.helpers.waiting import eventually

__all__ = ["OK", "true_to_the_document"]


@dataclass
class Desk:
    service: Running
    alice: httpx.AsyncClient
    bob: httpx.AsyncClient
    clock: Clock
    receiver: Receiver

    async def webhook(self, *events: str, url: str | None = None) -> dict[str, Any]:
        answer = await self.alice.post(
            "/api/webhooks", json={"url": url or self.receiver.url, "events": list(events) or ["config.changed"]}
        )
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def change(self, key: str = "a") -> None:
        """Raises config.changed."""
        await self.alice.post("/api/config", json={"name": "shop"})
        self.clock.move(0.001)
        await self.alice.put(f"/api/config/shop/values/{key}", json=self.clock.now)

    async def deliveries(self, webhook: str) -> list[dict[str, Any]]:
        answer = await self.alice.get(f"/api/webhooks/{webhook}/deliveries")
        assert answer.status_code == 200, answer.text
        return list(answer.json()["deliveries"])

    async def settled(self, webhook: str, *states: str) -> list[dict[str, Any]]:
        """The deliveries, once their states are these, newest first."""
        found: list[dict[str, Any]] = []

        async def settled() -> bool:
            found[:] = await self.deliveries(webhook)
            return [each["state"] for each in found] == list(states)

        await eventually(settled)
        return found

    async def attempted(self, webhook: str, number: int) -> dict[str, Any]:
        """The newest delivery, once it has been attempted so often."""
        found: list[dict[str, Any]] = []

        async def attempted() -> bool:
            self.service.state["hooks_delivery"].wake()
            found[:] = await self.deliveries(webhook)
            return bool(found) and len(found[0]["attempts"]) >= number

        await eventually(attempted)
        return found[0]


def verified(secret: str, received: Received) -> dict[str, Any]:
    headers, body = received
    return dict(Verifier(secret).verify(body, headers))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def desk(make_settings: Callable[..., Settings], clock: Clock, receiver: Receiver) -> AsyncIterator[Desk]:
    async with running(make_settings(webhook_timeout=PATIENCE), clock) as service:
        await make_cast(service)
        yield Desk(service, await signed_in(service, "alice"), await signed_in(service, "bob"), clock, receiver)
