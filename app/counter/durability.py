"""Tracks the Redis server's durability guarantees, and detects restarts and fail-overs."""

import time
from collections.abc import Callable
from typing import Any

from app.counter.batch_store import BatchStore, ServerInfo

CHECK_INTERVAL = 5.0
"""Seconds between two checks of the server's guarantees."""
REPLICA_MEMORY = 60.0
"""Seconds for which WAIT still expects a lost replica: it may be about to become the primary."""


class Durability:
    def __init__(self, store: BatchStore[Any], evicting: Callable[[str], None] = lambda _: None) -> None:
        self._store = store
        self._evicting = evicting
        self.info = ServerInfo(file=True, replicas=False, history="")
        self._checked_at = -CHECK_INTERVAL
        self._replica_seen = -REPLICA_MEMORY
        self._since = -1.0

    async def refresh(self) -> None:
        """Asks the server again. Raises StoreUnavailable."""
        info = await self._store.server_info()
        now = time.monotonic()
        if info.replicas:
            self._replica_seen = now
        if not info.history or info.history != self.info.history:
            self._since = now
        if info.evicts and info.evicts != self.info.evicts:
            self._evicting(info.evicts)
        self.info, self._checked_at = info, now

    async def settled(self, worker: str) -> tuple[int, bool]:
        """(the worker's last applied batch, whether the server has made it durable). Raises StoreUnavailable."""
        if time.monotonic() - self._checked_at >= CHECK_INTERVAL:
            await self.refresh()
        replicas = time.monotonic() - self._replica_seen < REPLICA_MEMORY
        return await self._store.settled(worker, file=self.info.file, replicas=replicas)

    async def same_since(self, moment: float) -> bool:
        """Whether the server still has all that it acknowledged since `moment` (monotonic clock): there was no restart
        and no fail-over.
        """
        await self.refresh()
        return self._since <= moment
