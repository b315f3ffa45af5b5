"""Tallygate's own namespace as commands see it: the source of settings beside files, environment and command line."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.config_service.models import OWN
from app.config_service.own_settings import empty_namespace
from app.config_service.secret_values import SecretValues
from app.config_service.store import ConfigStore
from app.config_service.watch import visible
from app.sessions.signing import signing_keys
from app.settings import Settings
from app.settings.live import Values
from app.settings.topology import topology_at
from app.store.client import Store, StoreUnavailable
from app.store.embedded import Embedded
from app.store.encryption import Encryption
from app.store.topology import Single, Topology

NOT_READ = f"Redis does not answer, so the namespace {OWN} was not read"


T = TypeVar("T")


def own_values(settings: Settings) -> Values | None:
    """The values of the namespace; None if the store does not answer."""

    async def read(store: Store) -> Values:
        namespace = await ConfigStore(store, empty_namespace()).read(OWN)
        assert namespace is not None
        return visible(namespace, SecretValues(Encryption(signing_keys(settings), "config")), secrets=True)

    return asked(settings, read)


def asked(settings: Settings, work: Callable[[Store], Awaitable[T]]) -> T | None:
    """The result of `work`; None if the store does not answer. Starts no embedded server."""
    if settings.redis_url is not None:
        return asyncio.run(_run(topology_at(settings.redis_url, settings), settings, work))
    embedded = Embedded(settings.data_dir)
    if not embedded.exists:
        return None
    return asyncio.run(_run(Single(embedded.url, settings.redis_timeout), settings, work))


async def _run(topology: Topology, settings: Settings, work: Callable[[Store], Awaitable[T]]) -> T | None:
    try:
        async with Store(topology, settings.redis_timeout) as store:
            return await work(store)
    except StoreUnavailable:
        return None
