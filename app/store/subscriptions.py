"""Messages of channels (PUBLISH), for all subscribers of a worker, on the connections that also carry invalidations."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from app.store.client import ResponseError, Store, StoreUnavailable
from app.store.connection import NodeConnection
from app.store.refusals import MAX_PAUSE
from app.store.tasks import run_until_one_ends

MAX_WAITING = 1000
"""Messages that are queued for a slow subscriber; beyond that it gets None: some may be missing."""
CHECK_INTERVAL = 1.0
"""Seconds between two looks at what is open and what is subscribed."""


class Subscriptions:
    """Every node of a cluster passes on every message: where several are connected, a message comes several times."""

    def __init__(self, store: Store) -> None:
        """`store` is the tracked one."""
        self._store = store
        self._queues: dict[str, list[asyncio.Queue[bytes | None]]] = {}
        self._subscribed: set[tuple[NodeConnection, str]] = set()
        self._refused_until: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def messages(self, channel: str) -> AsyncGenerator[bytes | None]:
        """Yields the messages of a channel for ever; None at first, and whenever some may be missing."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_WAITING)
        self._queues.setdefault(channel, []).append(queue)
        if any(subscribed == channel for _, subscribed in self._subscribed):
            queue.put_nowait(None)
        self._changed.set()
        try:
            while True:
                yield await queue.get()
        finally:
            self._queues[channel].remove(queue)

    def tell(self, channel: str, message: bytes | None) -> None:
        for queue in self._queues.get(channel, ()):
            late = queue.full()
            while late and not queue.empty():
                queue.get_nowait()
            queue.put_nowait(None if late else message)

    def opened(self) -> None:
        self._changed.set()

    def lost(self, connection: object) -> None:
        self._subscribed = {pair for pair in self._subscribed if pair[0] is not connection}

    async def run(self) -> None:
        """Keeps a connection open, and each connection subscribed to each channel, until cancelled."""
        await run_until_one_ends(self._keep_open(), self._keep_subscribed())

    async def _keep_open(self) -> None:
        """A cluster's connections come and go with its nodes; messages need one also while nothing is read."""
        while True:
            if not self._store.up:
                with suppress(StoreUnavailable, ResponseError):
                    await self._store.idempotent("PING")
            await asyncio.sleep(CHECK_INTERVAL)

    async def _keep_subscribed(self) -> None:
        while True:
            self._changed.clear()
            open_now = self._store.open_connections
            self._subscribed = {pair for pair in self._subscribed if pair[0] in open_now}  # one may be lost in between
            wanted = [(connection, channel) for connection in open_now for channel in self._queues]
            missing = [pair for pair in wanted if pair not in self._subscribed and not self._is_refused(pair[1])]
            await asyncio.gather(*(self._subscribe(*pair) for pair in missing))
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_INTERVAL):
                    await self._changed.wait()

    def _is_refused(self, channel: str) -> bool:
        return self._refused_until.get(channel, 0) > self._loop.time()

    async def _subscribe(self, connection: NodeConnection, channel: str) -> None:
        part = f"the channel {channel}"
        try:
            await connection.send("SUBSCRIBE", channel)
        except ResponseError as error:
            if self._store.refusals.note(part, error):
                self._refused_until[channel] = self._loop.time() + MAX_PAUSE
        except StoreUnavailable:
            return
        else:
            self._store.refusals.clear(part)
            self._subscribed.add((connection, channel))
            self.tell(channel, None)
