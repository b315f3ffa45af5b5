"""A cache of Redis hashes kept consistent by client-side tracking: a hit costs no round trip and is never stale.

The server remembers which keys a connection has read, and pushes an invalidation down the same connection when one
changes (CLIENT TRACKING). Replies and invalidations arrive in order, so a late reply cannot undo a newer invalidation;
a value invalidated while it was being read is used, but not cached. Without the connection nothing is cached.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from app.store.client import Store, StoreUnavailable
from app.store.subscriptions import Subscriptions

T = TypeVar("T")
Fields = Mapping[bytes, bytes]


class Tracking:
    """The tracked connection, one for all caches and all subscriptions of a worker."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.tracked = store.sibling(tracker=self)
        self._caches: list[TrackedHashes[Any]] = []
        self._subscriptions = Subscriptions(self.tracked)

    async def __aenter__(self) -> "Tracking":
        await self.tracked.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.tracked.__aexit__(*exception)

    async def run(self) -> None:
        """Keeps subscribed, until cancelled."""
        await self._subscriptions.run()

    def subscribe(self, channel: str) -> AsyncGenerator[bytes | None]:
        """The messages of a channel for ever; None at first, and whenever some may be missing."""
        return self._subscriptions.messages(channel)

    def add(self, cache: "TrackedHashes[Any]") -> None:
        self._caches.append(cache)

    def opened(self) -> None:
        self._subscriptions.opened()

    def changed(self, keys: list[bytes] | None) -> None:
        for cache in self._caches:
            if keys is None:
                cache.clear()
                continue
            for key in keys:
                cache.forget(key.decode())

    def message(self, channel: str, data: bytes) -> None:
        self._subscriptions.tell(channel, data)

    def lost(self, connection: object) -> None:
        self._subscriptions.lost(connection)
        self.changed(None)


class Pin(NamedTuple):
    """A cached value as it was: `cached(key) is value` until the hash changes or leaves the cache."""

    cached: Callable[[str], Any]
    key: str
    value: Any


class TrackedHashes(Generic[T]):
    """Parsed Redis hashes; at most `limit` are cached. `parse` gets the last part of a key, and the fields of its hash.
    A hash that it cannot read (KeyError, ValueError) counts as missing.
    """

    def __init__(self, tracking: Tracking, parse: Callable[[str, Fields], T | None], limit: int = 20_000) -> None:
        tracking.add(self)
        self._store, self._tracked = tracking.store, tracking.tracked
        self._parse = parse
        self._limit = limit
        self._cached: dict[str, T | None] = {}
        self._reading: dict[str, int] = {}
        self._outdated: set[str] = set()

    def cached(self, key: str) -> T | None:
        """The cached hash; None if it is not cached or does not exist."""
        return self._cached.get(key)

    def pin(self, key: str) -> Pin | None:
        """A Pin of the cached hash; None if it is not cached or does not exist."""
        value = self._cached.get(key)
        return Pin(self._cached.get, key, value) if value is not None else None

    async def read(self, key: str) -> T | None:
        """The hash, from the cache or from Redis; None if it does not exist. Raises StoreUnavailable."""
        if key in self._cached:
            return self._cached[key]
        self._reading[key] = self._reading.get(key, 0) + 1
        try:
            try:
                reply = await self._tracked.idempotent("HGETALL", key)
            except StoreUnavailable:
                self.forget(key)
                reply = await self._store.idempotent("HGETALL", key)
            value = self._parsed(key, reply) if reply else None
            if key not in self._outdated and self._tracked.up:
                self._add(key, value)
            return value
        finally:
            self._reading[key] -= 1
            if not self._reading[key]:
                del self._reading[key]
                self._outdated.discard(key)

    def forget(self, key: str) -> None:
        """Drops the key from the cache: its writer need not wait for the invalidation message."""
        self._cached.pop(key, None)
        if key in self._reading:
            self._outdated.add(key)

    def clear(self) -> None:
        self._cached.clear()
        self._outdated.update(self._reading)

    def _parsed(self, key: str, fields: Fields) -> T | None:
        try:
            return self._parse(key.rpartition(":")[2], fields)
        except (KeyError, ValueError):
            return None

    def _add(self, key: str, value: T | None) -> None:
        if len(self._cached) >= self._limit:
            for oldest in list(self._cached)[: self._limit // 10]:
                del self._cached[oldest]
        self._cached[key] = value
