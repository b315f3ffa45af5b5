"""Services: accounts of programs. A service has no sign-in and no password; it has tokens (`tgs_...`) and grants."""

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from app.accounts.api_tokens.tokens import ApiTokens, TokenInfo
from app.accounts.secret import digest, looks_like_secret
from app.settings import Settings, SettingsError
from app.store import keys
from app.store.client import Store
from app.store.hashes import compare_and_set
from app.store.scripts import Script
from app.store.tracking import TrackedHashes, Tracking
from app.web.errors import Conflict
from app.web.i18n import N_

PREFIX = "tgs_"
"""The prefix by which secret scanners recognise a committed token of a service."""
MAX_SERVICES = 1000
NAME = re.compile("[a-z0-9]+([_-][a-z0-9]+)*")
MAX_NAME_LENGTH = 64
Name = Annotated[str, Field(pattern=f"^{NAME.pattern}$", max_length=MAX_NAME_LENGTH)]
Path = Annotated[str, Field(pattern=r"^((GET|POST):)?[A-Za-z0-9_./-]+\*?$", max_length=200)]
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Role = Literal["read", "write", "manage"]
Grant = ConfigDict(extra="forbid", frozen=True)

# A retry after a lost reply finds the name with the same id.
CREATE = Script("""
local names, service = unpack(KEYS)
local name, id, most = unpack(ARGV, 1, 3)
local owner = redis.call('HGET', names, name)
if owner then return owner == id and 1 or 0 end
if redis.call('HLEN', names) >= tonumber(most) then return 2 end
redis.call('HSET', names, name, id)
redis.call('HSET', service, unpack(ARGV, 4))
return 1
""")
# The record goes first in any order: a token without a service authenticates nothing.
REMOVE = Script("""
local names, service, list = unpack(KEYS)
if redis.call('HGET', names, ARGV[1]) == ARGV[2] then redis.call('HDEL', names, ARGV[1]) end
redis.call('DEL', list)
return redis.call('DEL', service)
""")


class WeChatGrant(BaseModel):
    """A service's rights at one WeChat account. Without `paths` the default list of paths holds. `POST:` before a path
    limits it to that method.
    """

    model_config = Grant

    paths: tuple[Path, ...] | None = Field(None, max_length=100)
    raw_token: bool = Field(False, strict=True)
    per_minute: int | None = Field(None, ge=1, le=1_000_000, strict=True)
    per_day: int | None = Field(None, ge=1, le=100_000_000, strict=True)


class ConfigGrant(BaseModel):
    """A role in a namespace of the configuration service."""

    model_config = Grant

    role: Role
    secrets: StrictBool | None = None


class Grants(BaseModel):
    """A service's rights, by feature, then by account or namespace."""

    model_config = Grant

    wechat: dict[str, WeChatGrant] = Field(default={}, max_length=100)
    config: dict[str, Role | ConfigGrant] = Field(default={}, max_length=1000)


class Service(BaseModel):
    """A service. `created` is 0 for one of the settings, which the API cannot change."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    created: float
    grants: Grants

    @classmethod
    def from_hash(cls, service_id: str, fields: Mapping[bytes, bytes]) -> Self:
        return cls(
            id=service_id,
            name=fields[b"name"].decode(),
            created=float(fields[b"created"]),
            grants=Grants.model_validate_json(fields[b"grants"]),
        )

    @property
    def configured(self) -> bool:
        """Whether it is one of the settings."""
        return not self.created


class ServiceTable(Grants):
    """The table `[services.<name>]`: the grants, and the SHA-256 of each token in hexadecimal."""

    tokens: tuple[Hash, ...] = ()


class ServiceExists(Conflict):
    detail = N_("A service has this name.")


class TooManyServices(Conflict):
    detail = N_("There are too many services.")


class Services:
    """Services and their tokens, cached in each worker until Redis invalidates them. Raises StoreUnavailable."""

    def __init__(self, settings: Settings, tracking: Tracking, clock: Callable[[], float] = time.time) -> None:
        """Raises SettingsError for a table that is wrong."""
        self._store: Store = tracking.store
        self._clock = clock
        self._configured, self._configured_tokens = configured_services(settings.services)
        self._services = TrackedHashes(tracking, Service.from_hash)
        cache = TrackedHashes(tracking, TokenInfo.from_hash)
        self.tokens = ApiTokens(self._store, clock=clock, prefix=PREFIX, cache=cache)

    async def create(self, name: str, grants: Grants) -> Service:
        """Raises ServiceExists, TooManyServices."""
        if name in self._configured:
            raise ServiceExists
        service = Service(id=secrets.token_hex(16), name=name, created=self._clock(), grants=grants)
        touched = [keys.SERVICES, keys.service(service.id)]
        fields = ("name", name, "created", repr(service.created), "grants", grants.model_dump_json())
        outcome = await CREATE.run(self._store, touched, name, service.id, MAX_SERVICES, *fields)
        if outcome == 0:
            raise ServiceExists
        if outcome == 2:
            raise TooManyServices
        return service

    async def list(self) -> list[Service]:
        """All services by name, those of the settings first."""
        pairs = await self._store.idempotent("HGETALL", keys.SERVICES)
        found = await asyncio.gather(*(self.get(service_id.decode()) for service_id in pairs.values()))
        stored = sorted((service for service in found if service is not None), key=lambda service: service.name)
        return [*self._configured.values(), *stored]

    async def get(self, service_id: str) -> Service | None:
        return self._configured.get(service_id) or await self._services.read(keys.service(service_id))

    async def change(self, service: Service, change: Callable[[Grants], Grants]) -> Service | None:
        """The service after the change, which is applied to its latest grants; None if it was removed."""
        key = keys.service(service.id)
        while (text := await self._store.idempotent("HGET", key, "grants")) is not None:
            grants = change(Grants.model_validate_json(text))
            if await compare_and_set(self._store, key, "grants", text, grants.model_dump_json()):
                self._services.forget(key)
                return service.model_copy(update={"grants": grants})
        return None

    async def remove(self, service: Service) -> bool:
        """Removes the service and revokes its tokens at once. Returns whether it existed."""
        key = keys.service(service.id)
        for token in await self.tokens.list(service.id):
            await self.tokens.revoke(service.id, token.id)
        touched = [keys.SERVICES, key, keys.tokens_of(service.id)]
        removed = bool(await REMOVE.run(self._store, touched, service.name, service.id))
        self._services.forget(key)
        return removed

    def cached(self, secret: str) -> Service | None:
        """The service of a token if that takes no round trip; None otherwise."""
        if not secret.startswith(PREFIX):
            return None
        token = self.tokens.cached(secret)
        if token is None:
            return self._configured_tokens.get(digest(secret))
        return self._services.cached(keys.service(token.user_id))

    async def authenticate(self, secret: str) -> Service | None:
        """The service of a token; None if the token is unknown, revoked or expired. Usually without a round trip."""
        if not secret.startswith(PREFIX) or not looks_like_secret(secret.removeprefix(PREFIX)):
            return None
        configured = self._configured_tokens.get(digest(secret))
        if configured is not None:
            return configured
        token = await self.tokens.by_secret(secret)
        return await self._services.read(keys.service(token.user_id)) if token is not None else None


def configured_services(tables: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Service], dict[str, Service]]:
    """(the services of the settings by name, the same by the hash of each token). Raises SettingsError."""
    services: dict[str, Service] = {}
    tokens: dict[str, Service] = {}
    for name, table in tables.items():
        try:
            parsed = ServiceTable.model_validate(table)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in ("services", name, *first["loc"]))
            raise SettingsError(f"{where}: {first['msg']}") from None
        grants = Grants(wechat=parsed.wechat, config=parsed.config)
        services[name] = Service(id=name, name=name, created=0, grants=grants)
        tokens |= dict.fromkeys(parsed.tokens, services[name])
    return services, tokens
