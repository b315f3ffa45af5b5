"""What stands before the pods of a Deployment, in a test's process: connections go to those whose /ready says 200."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import httpx

from tests.helpers.sockets import PATIENCE

LOOK = 0.05
"""Seconds between two looks at each /ready."""


class Balancer:
    """Like a Kubernetes Service, it spreads connections, not requests: one that is open stays where it is."""

    def __init__(self) -> None:
        self.url = ""
        self.ready: frozenset[str] = frozenset()
        self.known: set[str] = set()
        self._turns = itertools.count()
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    async def until(self, *ready: str, seconds: float = PATIENCE) -> None:
        """Waits until exactly these are ready."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: self.ready == frozenset(ready))

    async def watch(self) -> None:
        async with httpx.AsyncClient(verify=False, timeout=PATIENCE) as client:
            while True:
                known = tuple(self.known)  # pods come and go while they are asked
                answers = await asyncio.gather(*(_is_ready(client, url) for url in known))
                ready = frozenset(itertools.compress(known, answers))
                if ready != self.ready:
                    async with self._changed:
                        self.ready = ready
                        self._changed.notify_all()
                await asyncio.sleep(LOOK)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ready = sorted(self.ready)
        place = urlsplit(ready[next(self._turns) % len(ready)])
        far_reader, far_writer = await asyncio.open_connection(place.hostname, place.port)
        await asyncio.gather(_pour(reader, far_writer), _pour(far_reader, writer))


@asynccontextmanager
async def balancer() -> AsyncIterator[Balancer]:
    balancer = Balancer()
    watching = asyncio.create_task(balancer.watch())
    server = await asyncio.start_server(balancer.serve, "127.0.0.1", 0)
    balancer.url = "http://{}:{}".format(*server.sockets[0].getsockname())
    try:
        async with server:
            yield balancer
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _is_ready(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(f"{url}/ready")).status_code == 200
    except httpx.TransportError:
        return False


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
