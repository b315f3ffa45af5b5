"""The key pairs in Redis: one hash, a field for each key, its value encrypted."""

import structlog

from app.events.event import Record
from app.events.stream import RAISE
from app.signing_keys.key_ring import KeyRing, SigningKey
from app.store import keys
from app.store.client import Store
from app.store.encryption import Encryption
from app.store.scripts import Script
from app.store.tracking import Fields, TrackedHashes, Tracking

# A retry after a lost reply finds its own key.
ADD = Script(
    RAISE
    + """
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 1 and ARGV[3] ~= '' then raise_event(KEYS[2], ARGV[3]) end
"""
)


class KeyStore:
    """Coroutines raise StoreUnavailable."""

    def __init__(self, store: Store, tracking: Tracking | None, encryption: Encryption) -> None:
        self._store = store
        self._encryption = encryption
        self._cache = None if tracking is None else TrackedHashes(tracking, self._parse)

    def cached(self) -> KeyRing | None:
        """The keys if they are cached: takes no round trip."""
        return None if self._cache is None else self._cache.cached(keys.SIGNING_KEYS)

    async def read(self) -> KeyRing:
        if self._cache is not None:
            return await self._cache.read(keys.SIGNING_KEYS) or KeyRing([])
        return self._parse("", await self._store.idempotent("HGETALL", keys.SIGNING_KEYS))

    async def names(self) -> set[str]:
        """The names of all stored keys, also of those that no secret key decrypts."""
        return {name.decode() for name in await self._store.idempotent("HKEYS", keys.SIGNING_KEYS)}

    async def add(self, key: SigningKey, record: Record | None = None) -> None:
        """Adds a key, and raises its event, unless another worker has added one of the same name."""
        value = self._encryption.encrypt(key.dump(), key.name)
        touched = [keys.SIGNING_KEYS, keys.raised(keys.SIGNING_KEYS)]
        await ADD.run(self._store, touched, key.name, value, b"" if record is None else record.dump())
        self._changed()

    async def replace(self, key: SigningKey) -> None:
        await self._store.idempotent(
            "HSET", keys.SIGNING_KEYS, key.name, self._encryption.encrypt(key.dump(), key.name)
        )
        self._changed()

    async def remove(self, names: list[str]) -> None:
        await self._store.idempotent("HDEL", keys.SIGNING_KEYS, *names)
        self._changed()

    def _changed(self) -> None:
        if self._cache is not None:
            self._cache.forget(keys.SIGNING_KEYS)

    def _parse(self, _: str, fields: Fields) -> KeyRing:
        found, outdated = [], []
        for name, value in ((name.decode(), value) for name, value in fields.items()):
            plain = self._encryption.decrypt(value, name)
            if plain is None:
                structlog.get_logger("app").warning("a signing key was encrypted with another secret key", key=name)
                continue
            found.append(SigningKey.load(name, plain))
            if self._encryption.is_outdated(value):
                outdated.append(name)
        return KeyRing(found, outdated)
