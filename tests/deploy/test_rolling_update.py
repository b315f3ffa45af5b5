"""A rolling update as the Deployment does it, with processes for pods: nothing is lost, and nobody is signed out."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.deploy.balancer import Balancer, balancer
from tests.helpers.service import ROOT, Process, process
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey

PASSWORD = "seven grey herons by the weir"
REPLICAS = 3
VISITORS = 6
PAUSE = 0.02
"""Seconds between two visits of one visitor: more load would only slow the start of the pods."""


class Load:
    """Visitors who come again and again, half of them on a connection that they keep."""

    def __init__(self, url: str, signed_in: httpx.AsyncClient) -> None:
        self.numbers: list[int] = []
        self.sessions: list[int] = []
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
            self.sessions.append((await self._signed_in.get("/api/session")).status_code)
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
async def test_rolling_update_loses_nothing(tmp_path: Path, server: Valkey) -> None:
    with ExitStack() as pods:
        old = [pods.enter_context(_pod(tmp_path / f"old-{n}", server)) for n in range(REPLICAS)]
        async with balancer() as service:
            serving = [await asyncio.to_thread(pod.url) for pod in old]
            service.known.update(serving)
            await service.until(*serving)
            async with httpx.AsyncClient(verify=False, base_url=service.url, timeout=PATIENCE) as alice:
                await _sign_in(alice, tmp_path, server)
                load = Load(service.url, alice)
                async with load.running():
                    for n, leaving in enumerate(old):
                        arriving = pods.enter_context(_pod(tmp_path / f"new-{n}", server))
                        serving = await _replace(service, load, serving, leaving, arriving)
                assert set(load.sessions) == {200}
                total = (await alice.get("/api/visits")).json()["visits"]
    assert len(set(load.numbers)) == len(load.numbers) == total
    assert total > 100, "there was no load to speak of"


async def _replace(service: Balancer, load: Load, serving: list[str], leaving: Process, arriving: Process) -> list[str]:
    """The new (maxSurge 1) is ready before the old one goes (maxUnavailable 0).

    The wait between SIGUSR1 and SIGTERM is what `sleep 10` is in the Deployment's preStop.
    """
    url = await asyncio.to_thread(arriving.url)
    service.known.add(url)
    await service.until(*serving, url)
    left = serving[0]
    leaving.process.send_signal(signal.SIGUSR1)
    serving = [*serving[1:], url]
    await service.until(*serving)
    await load.everybody_has_come_again()
    assert await asyncio.to_thread(leaving.end) == 0, leaving.output
    service.known.discard(left)
    return serving


def _pod(folder: Path, server: Valkey) -> AbstractContextManager[Process]:
    return process(folder, port="0", redis_url=server.url)


async def _sign_in(client: httpx.AsyncClient, folder: Path, server: Valkey) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TALLYGATE_REDIS_URL": server.url}
    command = [sys.executable, "-m", "app", "create-admin", "alice"]
    await asyncio.to_thread(
        subprocess.run, command, cwd=folder, env=environment, input=PASSWORD, text=True, check=True, timeout=PATIENCE
    )
    answer = await client.post("/api/session", json={"username": "alice", "password": PASSWORD})
    assert answer.status_code == 200, answer.text
