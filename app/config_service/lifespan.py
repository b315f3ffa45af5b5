"""The part of the lifespan that opens the configuration service, and the request state that it fills."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypedDict

from app.accounts.lifespan import Accounts, AccountState
from app.config_service.editing import Editor
from app.config_service.models import OWN
from app.config_service.own_settings import OwnSettings, empty_namespace
from app.config_service.principal import Principals
from app.config_service.secret_values import SecretValues
from app.config_service.store import ConfigStore
from app.config_service.watch import Namespaces
from app.server.background import background
from app.sessions.signing import signing_keys
from app.store.client import ResponseError, StoreUnavailable
from app.store.encryption import Encryption
from app.store.single_flight import SingleFlight
from app.web.lifespan import WebState

LOAD_TIMEOUT = 0.5
"""Seconds that the start waits for Tallygate's own namespace; without Redis its values apply later."""


class Configuration(TypedDict):
    """Filled by `open_config_service`."""

    config_store: ConfigStore
    config_editor: Editor
    config_namespaces: Namespaces
    config_principals: Principals
    config_changes: SingleFlight[list[str]]
    """Reads of the keys that have changed between two versions."""


class ConfigState(AccountState, Configuration):
    """The request state of the handlers of the configuration service."""


@asynccontextmanager
async def open_config_service(
    web: WebState, accounts: Accounts, clock: Callable[[], float]
) -> AsyncIterator[Configuration]:
    settings, store = web["settings"], web["store"]
    secret_values = SecretValues(Encryption(signing_keys(settings), "config"))
    config_store = ConfigStore(store, empty_namespace())
    namespaces = Namespaces(web["tracking"], config_store, secret_values, clock)
    web["streams"].counts.append(lambda: namespaces.waiting)
    editor = Editor(config_store, namespaces, secret_values, clock)
    own = OwnSettings(web["live_settings"], secret_values)
    editor.checks[OWN] = own.check
    namespaces.on_change.append(own.follow)
    stopping = web["lifecycle"].stopping
    async with background(web["lifecycle"], namespaces.run(), namespaces.check(), namespaces.end_waits(stopping)):
        with suppress(StoreUnavailable, ResponseError, TimeoutError):  # `namespaces.run` reads it later
            async with asyncio.timeout(LOAD_TIMEOUT):
                await namespaces.get(OWN)
        yield Configuration(
            config_store=config_store,
            config_editor=editor,
            config_namespaces=namespaces,
            config_principals=Principals(accounts["current_user"], accounts["tokens"], accounts["services"]),
            config_changes=SingleFlight(),
        )
