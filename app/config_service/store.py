"""Namespaces in Redis: a hash each, a stream of versions whose ids are `<version>-0`, one script for every write."""

import secrets
from dataclasses import replace

from app.config_service.models import Namespace, Version
from app.events.event import Record
from app.events.stream import RAISE
from app.store import keys
from app.store.client import Store
from app.store.connection import Argument
from app.store.scripts import Script
from app.web.errors import Conflict
from app.web.i18n import N_

MAX_NAMESPACES = 1000
MAX_VERSIONS = 1000
"""Minimum number of versions that a namespace keeps."""

# A repeat after a lost reply finds its own stamp.
WRITE = Script(
    RAISE
    + f"""
local space, history, raised, names = unpack(KEYS)
local name, stamp, revision, version, entry, record, most, kept = unpack(ARGV, 1, 8)
if redis.call('HGET', space, 'stamp') == stamp then return 'written' end
local now = redis.call('HGET', space, 'revision')
if revision == '0' then
  if now then return 'exists' end
  if redis.call('ZCARD', names) >= tonumber(most) then return 'full' end
  redis.call('ZADD', names, 0, name)
elseif now ~= revision then
  return 'stale'
end
redis.call('HSET', space, 'stamp', stamp, unpack(ARGV, 9))
if entry ~= '' then redis.call('XADD', history, 'MAXLEN', '~', kept, version .. '-0', 'version', entry) end
if record ~= '' then raise_event(raised, record) end
redis.call('PUBLISH', '{keys.CONFIG_CHANGED}', name)
return 'written'
"""
)


class NamespaceExists(Conflict):
    detail = N_("There is a namespace of this name.")


class TooManyNamespaces(Conflict):
    detail = N_("There are too many namespaces.")


class Stale(Exception):
    """Another write came first."""


class ConfigStore:
    """Raises StoreUnavailable."""

    def __init__(self, store: Store, own: Namespace) -> None:
        """`own` is Tallygate's own namespace before its first change."""
        self._store = store
        self._own = own

    async def read(self, name: str) -> Namespace | None:
        fields = await self._store.idempotent("HGETALL", keys.config_namespace(name))
        found = Namespace.from_hash(name, fields) if fields else None
        if name != self._own.name:
            return found
        return self._own if found is None else replace(found, schema=self._own.schema)

    async def names(self) -> list[str]:
        """Sorted; includes Tallygate's own before its first change."""
        found = await self._store.idempotent("ZRANGE", keys.CONFIG_NAMESPACES, 0, -1)
        return sorted({name.decode() for name in found} | {self._own.name})

    async def write(
        self, namespace: Namespace, *, replaces: int, version: Version | None = None, record: Record | None = None
    ) -> None:
        """Writes a namespace over its revision `replaces` (0: a new one), with its version and event, in one step.

        Raises Stale, NamespaceExists, TooManyNamespaces.
        """
        name = namespace.name
        touched = [
            keys.config_namespace(name), keys.config_history(name), keys.raised("config"), keys.CONFIG_NAMESPACES
        ]  # fmt: skip
        outcome = await WRITE.run(
            self._store, touched, name, secrets.token_hex(8), str(replaces), str(namespace.version),
            b"" if version is None else version.dump(), b"" if record is None else record.dump(),
            MAX_NAMESPACES, MAX_VERSIONS, *namespace.to_hash(),
        )  # fmt: skip
        match outcome:
            case b"exists":
                raise NamespaceExists
            case b"full":
                raise TooManyNamespaces
            case b"stale":
                raise Stale

    async def history(self, name: str, before: int | None, limit: int) -> list[Version]:
        """Versions, newest first."""
        return await self._versions(name, "+" if before is None else f"({before}-0", "-", "COUNT", limit)

    async def versions_after(self, name: str, version: int) -> list[Version]:
        """All newer versions, newest first."""
        return await self._versions(name, "+", f"({version}-0")

    async def _versions(self, name: str, *bounds: Argument) -> list[Version]:
        found = await self._store.idempotent("XREVRANGE", keys.config_history(name), *bounds)
        return [Version.load(int(entry.partition(b"-")[0]), fields[1]) for entry, fields in found]
