"""A Redis that deletes keys when its memory is full is not silent about it."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from tests.helpers.service import running
from tests.helpers.valkey import valkey


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_evicting_policy_is_logged_and_reported_by_ready(
    make_settings: Callable[..., Settings], short_folder: Path, capfd: pytest.CaptureFixture[str], policy: str
) -> None:
    with valkey(short_folder / "evicts") as server, server.client as client:
        client.config_set("maxmemory-policy", policy)
        async with running(make_settings(redis_url=server.url)) as service:
            assert (await service.client.get("/")).status_code == 200
            answer = (await service.client.get("/ready")).json()
    assert answer["status"] == "ready"
    assert policy in answer["warnings"][0]
    assert "Set maxmemory-policy noeviction" in answer["warnings"][0]
    assert capfd.readouterr().err.count(policy) == 1


async def test_noeviction_policy_is_not_reported(client: httpx.AsyncClient) -> None:
    await client.get("/")
    assert (await client.get("/ready")).json() == {"status": "ready"}
