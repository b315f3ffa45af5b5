"""The namespaces that a worker caches and announcements update, and the requests that wait for changes."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress

import orjson

from app.config_service.models import OWN, Namespace
from app.config_service.secret_values import CannotDecrypt, SecretValues
from app.config_service.store import ConfigStore
from app.store.client import ResponseError, StoreUnavailable
from app.store.keys import CONFIG_CHANGED
from app.store.tracking import Tracking
from app.web.fast_path import StaticHeaders

MAX_CACHED = 256
CHECK_INTERVAL = 30.0
"""Seconds after which every cached namespace is read again: a connection may have died silently."""


class Snapshot:
    """A namespace, and the responses that all readers share."""

    __slots__ = ("_bodies", "found", "namespace", "not_modified", "tag")

    def __init__(self, namespace: Namespace, secret_values: SecretValues) -> None:
        self.namespace = namespace
        self.tag = b'"%d"' % namespace.version
        headers = (
            (b"etag", self.tag),
            (b"cache-control", b"no-store"),
            (b"vary", b"Cookie, Authorization"),
        )
        json_type = (b"content-type", b"application/json")
        hidden = sorted(key for key, item in namespace.items.items() if item.secret)
        names = (b"x-config-hidden", ", ".join(hidden).encode())
        self.not_modified = StaticHeaders(*headers, status=304)
        self.found = {
            True: StaticHeaders(json_type, *headers),
            False: StaticHeaders(json_type, *headers, *([names] if hidden else [])),
        }
        """The responses, by whether the reader may see secrets."""
        self._bodies: dict[bool, bytes] = {}
        for secrets in (False, True) if hidden else (False,):
            self._bodies[secrets] = orjson.dumps(visible(namespace, secret_values, secrets=secrets))

    def body(self, *, secrets: bool) -> bytes:
        return self._bodies.get(secrets, self._bodies[False])


def visible(namespace: Namespace, secret_values: SecretValues, *, secrets: bool) -> dict[str, object]:
    """The values that a reader may see. A secret that no key decrypts is omitted."""
    values = {}
    for key, item in namespace.items.items():
        if not item.secret:
            values[key] = item.value
        elif secrets:
            with suppress(CannotDecrypt):
                values[key] = secret_values.decrypt(item.value)
    return values


class Namespaces:
    def __init__(
        self,
        tracking: Tracking,
        config_store: ConfigStore,
        secret_values: SecretValues,
        clock: Callable[[], float],
    ) -> None:
        self._tracking = tracking
        self._store = tracking.store
        self._config_store = config_store
        self._secret_values = secret_values
        self._clock = clock
        self._known: dict[str, Snapshot] = {}
        self._waiting: dict[str, set[asyncio.Future[Snapshot | None]]] = {}
        self._stopping = False
        self._listening = False
        self._outdated: set[str] = set()
        self._up_at = clock()
        self.on_change: list[Callable[[Namespace], None]] = []

    @property
    def waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    def fresh(self, name: str) -> Snapshot | None:
        """The cached namespace, if announcements keep it up to date."""
        if not self._listening or not self._store.up or name in self._outdated:
            return None
        return self._known.get(name)

    async def get(self, name: str) -> Snapshot | None:
        """Raises StoreUnavailable if it is not cached and Redis is away."""
        known = self.fresh(name)
        if known is not None:
            return known
        try:
            return await self.read(name)
        except StoreUnavailable:
            if name in self._known:
                return self._known[name]
            raise

    async def read(self, name: str) -> Snapshot | None:
        """The namespace as Redis has it now, or as a write has left it meanwhile. Raises StoreUnavailable."""
        known = self._known.get(name)
        namespace = await self._config_store.read(name)
        if namespace is not None:
            return self.keep(namespace, over=known)
        self._known.pop(name, None)
        self._outdated.discard(name)
        return None

    def age(self) -> int | None:
        """Seconds since Redis was last reachable; None while it is."""
        return None if self._store.up else max(0, int(self._clock() - self._up_at))

    def keep(self, namespace: Namespace, over: Snapshot | None = None) -> Snapshot:
        """Caches a namespace unless a newer one is cached, and wakes the requests that wait for it.

        `over` was cached when the namespace was read: it is replaced by an older one as well, since Redis has gone
        back (a failover to a replica that lagged, a restored back-up).
        """
        self._outdated.discard(namespace.name)
        known = self._known.get(namespace.name)
        if known is not None and not _replaces(namespace, known, read_after=known is over):
            return known
        if known is None and len(self._known) >= MAX_CACHED:
            idle = next((name for name in self._known if name != OWN and not self._waiting.get(name)), None)
            if idle is not None:
                del self._known[idle]
        snapshot = self._known[namespace.name] = Snapshot(namespace, self._secret_values)
        for call in self.on_change:
            call(namespace)
        if known is None or known.namespace.items != namespace.items:
            self._wake(namespace.name, snapshot)
        return snapshot

    def wait(self, name: str, seconds: float) -> "asyncio.Future[Snapshot | None]":
        """The namespace at its next version; None after `seconds`, and at once while the server stops."""
        loop = asyncio.get_running_loop()
        seconds = 0 if self._stopping else seconds
        future: asyncio.Future[Snapshot | None] = loop.create_future()
        waiting = self._waiting.setdefault(name, set())
        waiting.add(future)
        timer = loop.call_later(seconds, _finish, future, None)

        def ended(future: "asyncio.Future[Snapshot | None]") -> None:
            timer.cancel()
            waiting.discard(future)
            if not waiting and self._waiting.get(name) is waiting:
                del self._waiting[name]

        future.add_done_callback(ended)
        return future

    async def run(self) -> None:
        """Follows announcements until cancelled."""
        async with aclosing(self._tracking.subscribe(CONFIG_CHANGED)) as names:
            async for name in names:
                self._listening = True
                await self._refresh([name.decode()] if name is not None else [*self._known])

    async def check(self) -> None:
        """Checks whether Redis is reachable, and reads everything again every CHECK_INTERVAL, until cancelled."""
        while True:
            for _ in range(int(CHECK_INTERVAL)):
                if self._store.up:
                    self._up_at = self._clock()
                await asyncio.sleep(1)
            await self._refresh([*self._known])

    async def end_waits(self, stopping: asyncio.Event) -> None:
        """Ends all long polls when the server stops; one that begins after that is answered at once."""
        await stopping.wait()
        self._stopping = True
        for name in list(self._waiting):
            self._wake(name, None)

    async def _refresh(self, names: list[str]) -> None:
        for name in dict.fromkeys([*names, OWN] if OWN not in self._known else names):
            if name in self._known or name == OWN:
                self._outdated.add(name)
                with suppress(StoreUnavailable, ResponseError):
                    await self.read(name)

    def _wake(self, name: str, snapshot: Snapshot | None) -> None:
        for future in self._waiting.pop(name, ()):
            _finish(future, snapshot)


def _replaces(namespace: Namespace, known: Snapshot, *, read_after: bool) -> bool:
    return namespace.revision > known.namespace.revision or (read_after and namespace != known.namespace)


def _finish(future: "asyncio.Future[Snapshot | None]", snapshot: Snapshot | None) -> None:
    if not future.done():
        future.set_result(snapshot)
