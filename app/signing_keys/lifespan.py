"""The part of the lifespan that opens the signing keys, and the request state that it fills."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypedDict

import structlog

from app.lazy import imported
from app.server.background import background
from app.sessions.signing import signing_keys
from app.signing_keys.signing_keys import MAINTENANCE_INTERVAL, SigningKeys
from app.signing_keys.store import KeyStore
from app.store.client import ResponseError, StoreUnavailable
from app.store.encryption import Encryption
from app.web.lifespan import WebState

RETRY = 5
"""Seconds until maintenance is tried again without Redis."""
FIRST_KEYS_AFTER = 5
"""Seconds after the start until missing keys are made, where other services sign in here: no start waits for them, and
no first sign-in.
"""


class Signing(TypedDict):
    """Filled by `open_signing_keys`."""

    signing_keys: SigningKeys


@asynccontextmanager
async def open_signing_keys(web: WebState, clock: Callable[[], float] = time.time) -> AsyncIterator[Signing]:
    """`clock` returns Unix seconds; tests move it."""
    store = KeyStore(web["store"], web["tracking"], Encryption(signing_keys(web["settings"]), "signing-keys"))
    found = SigningKeys(store, clock)
    async with background(web["lifecycle"], _maintain(found, makes_keys=web["settings"].public_url is not None)):
        yield Signing(signing_keys=found)


async def _maintain(found: SigningKeys, *, makes_keys: bool) -> None:
    if makes_keys:
        await imported("joserfc.jws")
    while True:
        try:
            await found.maintain()
            if makes_keys:
                await asyncio.sleep(FIRST_KEYS_AFTER)
                await found.ring()
        except (StoreUnavailable, ResponseError) as error:
            structlog.get_logger("app").warning("signing keys wait for Redis", why=str(error))
            await asyncio.sleep(RETRY)
        else:
            await asyncio.sleep(MAINTENANCE_INTERVAL)
