"""Long-lived secrets are encrypted anew under the current secret key, so that a former key can be removed."""

import asyncio
from typing import Protocol

import structlog

from app.store.client import ResponseError, Store, StoreUnavailable
from app.store.encryption import Encryption
from app.store.hashes import compare_and_set

INTERVAL, RETRY = 3600.0, 5.0
"""Seconds. It is repeated, since during a rolling update a worker with the former key may still encrypt."""


class Encrypted(Protocol):
    async def reencrypt(self) -> None:
        """Encrypts anew what a former secret key encrypted. Raises StoreUnavailable."""


async def reencrypt_periodically(part: Encrypted) -> None:
    while True:
        try:
            await part.reencrypt()
        except (StoreUnavailable, ResponseError) as error:
            structlog.get_logger("app").warning("what a former secret key encrypted waits for Redis", why=str(error))
            await asyncio.sleep(RETRY)
        else:
            await asyncio.sleep(INTERVAL)


async def reencrypt_field(store: Store, encryption: Encryption, key: str, field: str, name: str = "") -> None:
    """Encrypts a field of a hash anew, unless it changes meanwhile. `name` is the one it was encrypted with.

    Raises StoreUnavailable.
    """
    value = await store.idempotent("HGET", key, field)
    renewed = encryption.renewed(value, name) if value is not None else None
    if renewed is not None:
        await compare_and_set(store, key, field, value, renewed)
