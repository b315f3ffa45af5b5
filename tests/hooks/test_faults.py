"""Workers and Redis are killed under events, with receivers that fail now and then: no event is lost."""

import asyncio
import os
import signal
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from app.settings import Settings
from app.store import keys
from tests.helpers.api import program, token_for
from tests.helpers.cast import make_cast, signed_in
from tests.helpers.receiver import OK, Receiver
from tests.helpers.service import process, running
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import valkey
from tests.helpers.waiting import eventually
from tests.hooks.conftest import verified
from tests.sites.conftest import CHROME
from tests.store.cluster import cluster

REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
CHANGES = 60


class Flapping(Receiver):
    """Of three deliveries it drops one, refuses one and takes one."""

    seen = 0

    def next_answer(self) -> bytes | None:
        self.seen += 1
        if self.seen % 3 == 0:
            raise ConnectionError
        return REFUSED if self.seen % 3 == 1 else OK


async def changed(client: httpx.AsyncClient, number: int) -> None:
    """Sends a change until it is acknowledged."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                answer = await client.put(f"/api/config/shop/values/key{number % 5}", json=number)
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            if answer.status_code == 200:
                return
            assert answer.status_code == 503, answer.text
            await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_killed_workers_lose_no_event_and_repeats_keep_the_id(
    short_folder: Path, make_settings: Callable[..., Settings]
) -> None:
    receiver = Flapping()
    listening = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/hook"
    settings = {"webhook_timeout": "1", "webhook_retries": ",".join(["0.2"] * 50), "redis_timeout": "5"}
    with valkey(short_folder / "hooks") as server:
        async with running(make_settings(redis_url=server.url)) as service:
            await make_cast(service)
            alice = await signed_in(service, "alice")
            token = await token_for(alice)
            await alice.post("/api/config", json={"name": "shop"})
            made = await alice.post("/api/webhooks", json={"url": receiver.url, "events": ["config.changed"]})
            secret = made.json()["secret"]
        with process(short_folder / "hooked", "--workers", "2", port="0", redis_url=server.url, **settings) as started:
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(base_url=started.url(), headers=headers, timeout=PATIENCE) as client:
                for number in range(CHANGES):
                    await changed(client, number)
                    if number == CHANGES // 3:
                        os.kill(started.workers[0], signal.SIGKILL)
                    if number == 2 * CHANGES // 3:
                        server.kill()
                        server.start()
                history = (await client.get("/api/config/shop/history", params={"limit": 200})).json()["versions"]
                versions = {each["version"] for each in history} - {1}
                assert len(versions) == CHANGES

                async def all_came() -> bool:
                    return versions <= {orjson.loads(body)["data"]["version"] for _, body in receiver.received}

                await eventually(all_came, 2 * PATIENCE)
    ids = defaultdict(set)
    for received in receiver.received:
        event = verified(secret, received)
        ids[event["data"]["version"]].add(received[0]["webhook-id"])
    assert {version: len(found) for version, found in ids.items()} == dict.fromkeys(versions, 1)
    listening.close()


@pytest.mark.slow
async def test_cluster_delivers_events_of_all_its_nodes(
    short_folder: Path, make_settings: Callable[..., Settings], receiver: Receiver
) -> None:
    def told() -> list[dict[str, Any]]:
        return [orjson.loads(body) for _, body in receiver.received]

    with cluster(short_folder / "hooks-cluster") as nodes:
        settings = make_settings(redis_url=nodes.url, counter_reached=(1,), site_reached=(1,))
        parts = ("config", "hits", "signing-keys", "accounts")
        assert len({nodes.owner(keys.raised(part)) for part in parts}) > 1
        async with running(settings) as service:
            await make_cast(service)
            alice = await signed_in(service, "alice")
            await alice.post("/api/webhooks", json={"url": receiver.url, "events": ["*"]})
            await alice.post("/api/config", json={"name": "shop"})
            await alice.put("/api/config/shop/values/price", json=5)
            await alice.patch(
                "/api/config/tallygate",
                json={"announcement": "Hello."},
                headers={"Content-Type": "application/merge-patch+json"},
            )
            await program(service, await token_for(alice)).get("/")
            sites = [
                (await alice.post("/api/sites", json={"name": "S", "hosts": [f"{number}.example"]})).json()["id"]
                for number in range(4)
            ]
            visitor = service.another_client(headers={"User-Agent": CHROME})
            for site in sites:
                assert (await visitor.get(f"/c/{site}?p=/a")).status_code == 200
            await service.state["signing_keys"].rotate()
            wanted = ["config.changed"] * 2 + ["counter.reached"] + ["key.rotated"] * 2 + ["site.reached"] * 4

            async def all_came() -> bool:
                return sorted(each["type"] for each in told() if each["type"] in wanted) == wanted

            await eventually(all_came, PATIENCE)
            assert service.state["live_settings"].current.announcement == "Hello."
            assert {each["data"]["site"] for each in told() if each["type"] == "site.reached"} == set(sites)
