"""Rolling updates as the Deployment does them, with processes for pods, a new secret key, a drained node and a restart
of Redis: nothing is lost, and nobody is signed out.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.deploy.balancer import Balancer, balancer
from tests.helpers.service import ROOT, Process, process
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey, valkey
from tests.helpers.waiting import eventually

PASSWORD = "seven grey herons by the weir"
OLD_KEY, NEW_KEY = "old-secret-key-" * 3, "new-secret-key-" * 3
FIRST = {"secret_key": OLD_KEY}
VERIFIES = {"secret_key": OLD_KEY, "old_secret_keys": NEW_KEY}
SIGNS = {"secret_key": NEW_KEY, "old_secret_keys": OLD_KEY}
"""The steps of docs/deploy.md (Upgrade)."""
REPLICAS = 2
VISITORS = 6
PAUSE = 0.02
"""Seconds between two visits of one visitor: more load would only slow the start of the pods."""


class Load:
    """Visitors who come again and again, half of them on a connection that they keep."""

    def __init__(self, url: str, signed_in: httpx.AsyncClient) -> None:
        self.numbers: list[int | None] = []
        """Of the visits; None of those that wait for Redis."""
        self.sessions: list[int] = []
        self.without_store = False
        self._url = url
        self._signed_in = signed_in
        self._enough = asyncio.Event()
        self._came: Counter[int] = Counter()

    async def visit(self, visitor: int) -> None:
        keep = visitor % 2 == 0
        headers = {"Accept": "application/json"} | ({} if keep else {"Connection": "close"})
        async with httpx.AsyncClient(verify=False, base_url=self._url, headers=headers, timeout=PATIENCE) as client:
            while not self._enough.is_set():
                answer = await client.get("/")
                assert answer.status_code == 200, answer.text
                self.numbers.append(answer.json()["visits"])
                self._came[visitor] += 1
                await asyncio.sleep(PAUSE)

    async def stay_signed_in(self) -> None:
        while not self._enough.is_set():
            away = self.without_store
            status = (await self._signed_in.get("/api/session")).status_code
            if status != 503 or not (away or self.without_store):
                self.sessions.append(status)
            self._came[VISITORS] += 1
            await asyncio.sleep(PAUSE)

    async def everybody_has_come_again(self) -> None:
        """Waits until nobody is at a place, or has a connection to one, that was not ready any more."""
        before = self._came.copy()
        async with asyncio.timeout(PATIENCE):
            while min(self._came[visitor] - before[visitor] for visitor in range(VISITORS + 1)) < 2:
                await asyncio.sleep(PAUSE)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as visitors:
            for number in range(VISITORS):
                visitors.create_task(self.visit(number))
            visitors.create_task(self.stay_signed_in())
            yield
            self._enough.set()


@pytest.mark.slow
async def test_new_key_drained_node_and_restarted_redis_lose_nothing(tmp_path: Path, short_folder: Path) -> None:
    with ExitStack() as stack, valkey(short_folder / "restarted") as server:
        async with balancer() as service:
            cluster = Cluster(stack, tmp_path, server, service)
            await cluster.start(FIRST)
            async with httpx.AsyncClient(verify=False, base_url=service.url, timeout=PATIENCE) as alice:
                await _sign_in(alice, tmp_path, server)
                load = Load(service.url, alice)
                async with load.running():
                    await cluster.update(VERIFIES, load)
                    await cluster.restart_redis(load)
                    await cluster.drain_one(SIGNS, load)
                    await cluster.update(SIGNS, load)
                assert set(load.sessions) == {200}
                await _until_all_are_counted(alice, len(load.numbers))
    numbers = [number for number in load.numbers if number is not None]
    assert len(set(numbers)) == len(numbers) > 100


class Cluster:
    """A Deployment's pods, and the Redis that they share."""

    def __init__(self, stack: ExitStack, folder: Path, server: Valkey, service: Balancer) -> None:
        self._stack = stack
        self._folder = folder
        self._server = server
        self._service = service
        self._pods: dict[str, Process] = {}
        self._started = 0

    async def start(self, settings: dict[str, str]) -> None:
        for _ in range(REPLICAS):
            await self._add(settings)

    async def update(self, settings: dict[str, str], load: Load) -> None:
        """Each new pod (maxSurge 1) is ready before an old one goes (maxUnavailable 0)."""
        for url in list(self._pods):
            await self._add(settings)
            await self._remove(url, load)

    async def drain_one(self, settings: dict[str, str], load: Load) -> None:
        """An evicted pod goes first: its successor starts on another node afterwards."""
        await self._remove(next(iter(self._pods)), load)
        await self._add(settings)

    async def restart_redis(self, load: Load) -> None:
        load.without_store = True
        self._server.stop()
        await load.everybody_has_come_again()
        self._server.start()
        async with httpx.AsyncClient(verify=False, timeout=PATIENCE) as client:
            for url in self._pods:
                await eventually(partial(_reaches_its_store, client, url), what="the store")
        load.without_store = False

    async def _add(self, settings: dict[str, str]) -> None:
        self._started += 1
        folder = self._folder / f"pod-{self._started}"
        pod = self._stack.enter_context(process(folder, port="0", redis_url=self._server.url, **settings))
        url = await asyncio.to_thread(pod.url)
        self._pods[url] = pod
        self._service.known.add(url)
        await self._service.until(*self._pods)

    async def _remove(self, url: str, load: Load) -> None:
        """The wait between SIGUSR1 and SIGTERM is what `sleep 10` is in the Deployment's preStop."""
        pod = self._pods.pop(url)
        pod.process.send_signal(signal.SIGUSR1)
        await self._service.until(*self._pods)
        await load.everybody_has_come_again()
        assert await asyncio.to_thread(pod.end) == 0, pod.output
        self._service.known.discard(url)


async def _reaches_its_store(client: httpx.AsyncClient, url: str) -> bool:
    return (await client.get(f"{url}/ready?store")).status_code == 200


async def _until_all_are_counted(client: httpx.AsyncClient, came: int) -> None:
    async def counted() -> bool:
        return bool((await client.get("/api/visits")).json()["visits"] == came)

    await eventually(counted, what=f"{came} visits")


async def _sign_in(client: httpx.AsyncClient, folder: Path, server: Valkey) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TALLYGATE_REDIS_URL": server.url}
    command = [sys.executable, "-m", "app", "create-admin", "alice"]
    await asyncio.to_thread(
        subprocess.run, command, cwd=folder, env=environment, input=PASSWORD, text=True, check=True, timeout=PATIENCE
    )
    answer = await client.post("/api/session", json={"username": "alice", "password": PASSWORD})
    assert answer.status_code == 200, answer.text
