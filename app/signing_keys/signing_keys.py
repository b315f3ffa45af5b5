"""The interface for features: signing with the service's keys, the key set, rotation."""

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from app.events.catalogue import KeyRotated
from app.events.event import new_record
from app.signing_keys.key_ring import ALGORITHMS, PUBLISHED_BEFORE, KeyRing, NoKey, SigningKey
from app.signing_keys.store import KeyStore
from app.store.single_flight import SingleFlight

MAINTENANCE_INTERVAL = 3600
"""Seconds between two looks for keys to rotate or remove."""


class SigningKeys:
    """Keys are cached in each worker until Redis invalidates them. Coroutines raise StoreUnavailable."""

    def __init__(self, store: KeyStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._making: SingleFlight[None] = SingleFlight()

    async def sign(self, claims: Mapping[str, Any], *, alg: str = "ES256", typ: str = "JWT") -> str:
        """A signed token; `alg` is one of ALGORITHMS."""
        try:
            return (await self._store.read()).sign(claims, alg, typ, self._clock())
        except NoKey:
            await self._make(alg)
            return (await self._store.read()).sign(claims, alg, typ, self._clock())

    def cached(self) -> KeyRing | None:
        """All keys if they are cached: takes no round trip."""
        return self._store.cached()

    async def verified(self, token: str, typ: str = "JWT") -> dict[str, Any]:
        """The claims of a token that was signed here; its times are not checked. Raises BadToken."""
        return (await self._store.read()).verified(token, typ)

    async def jwks(self) -> dict[str, Any]:
        """The key set to publish (RFC 7517); both algorithms always have a key."""
        return (await self.ring()).jwks(self._clock())

    async def ring(self) -> KeyRing:
        """All keys; makes those that are missing."""
        missing = self._missing(ring := await self._store.read())
        if missing:
            await asyncio.gather(*map(self._make, missing))
            ring = await self._store.read()
        return ring

    async def _make(self, alg: str) -> None:
        """Makes the key of the algorithm if it is missing, once for all that ask meanwhile."""
        await self._making.join(alg, partial(self._make_if_missing, alg))

    async def _make_if_missing(self, alg: str) -> None:
        if alg in self._missing(await self._store.read()):
            await self._create(alg, self._clock())

    def _missing(self, ring: KeyRing) -> list[str]:
        """The algorithms without a key that signs now."""
        return [alg for alg in ALGORITHMS if not any(key.signs_from <= self._clock() for key in ring.of(alg))]

    async def rotate(self, *, at_once: bool = False) -> list[SigningKey]:
        """Adds a key for each algorithm that signs in a day, or at once. Returns the keys that sign next.

        At once: a key that waits to sign is removed, because it may have leaked with the one that signs.
        """
        ring = await self.ring()
        if at_once and (waiting := [key.name for key in ring.keys if key.signs_from > self._clock()]):
            await self._store.remove(waiting)
        signs_from = self._clock() + (0 if at_once else PUBLISHED_BEFORE)
        await asyncio.gather(*(self._create(alg, signs_from) for alg in ALGORITHMS))
        ring = await self._store.read()
        return [ring.of(alg)[-1] for alg in ALGORITHMS]

    async def maintain(self) -> None:
        """Publishes successors of keys that are due, removes expired keys, encrypts with the current secret key.

        Missing keys are made when they are asked for, and by `ring`: an RSA key takes a tenth of a second.
        """
        ring, now = await self._store.read(), self._clock()
        for alg in ALGORITHMS:
            if ring.rotation_due(alg, now):
                await self._create(alg, now + PUBLISHED_BEFORE)
        if expired := [key.name for key in ring.expired(now)]:
            await self._store.remove(expired)
        for key in ring.keys:
            if key.name in ring.outdated and key.name not in expired:
                await self._store.replace(key)

    async def _create(self, alg: str, signs_from: float) -> None:
        """Two workers at once choose the same number, and one key is stored."""
        numbers = [int(name.partition(":")[2]) for name in await self._store.names() if name.startswith(f"{alg}:")]
        number = max(numbers, default=0) + 1
        key = await asyncio.to_thread(SigningKey.new, alg, number, self._clock(), signs_from)
        event = KeyRotated(key=key.kid, algorithm=alg, signs_from=signs_from)
        await self._store.add(key, new_record(event, self._clock) if number > 1 else None)
