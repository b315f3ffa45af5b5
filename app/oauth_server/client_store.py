"""Clients, used assertions and registration tokens in Redis. Coroutines raise StoreUnavailable."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import orjson

from app.accounts.secret import digest
from app.oauth_server.models import Client
from app.store.client import Store
from app.store.hashes import compare_and_set
from app.store.keys import oauth_server as keys
from app.store.records import from_stored
from app.store.tracking import Fields, TrackedHashes, Tracking

REGISTRATION_LIFETIME = 7 * 86_400
"""Seconds for which clients may register with a token."""


class ClientStore:
    def __init__(self, store: Store, tracking: Tracking) -> None:
        self._store = store
        self._clients = TrackedHashes(tracking, _parse_client)

    def cached(self, client_id: str) -> Client | None:
        return self._clients.cached(keys.client(client_id))

    async def use_assertion(self, client_id: str, jti: str, lifetime: int) -> bool:
        """Whether the assertion is new."""
        name = keys.assertion(digest(f"{client_id}\n{jti}"))
        return bool(await self._store.once("SET", name, b"", "NX", "EX", max(lifetime, 1)))

    async def find(self, client_id: str) -> Client | None:
        return await self._clients.read(keys.client(client_id)) if client_id else None

    async def page(self, offset: int, limit: int) -> tuple[list[Client], int]:
        """(clients, the newest first, how many there are)."""
        ids, total = await asyncio.gather(
            self._store.idempotent("ZRANGE", keys.CLIENTS, offset, offset + limit - 1, "REV"),
            self._store.idempotent("ZCARD", keys.CLIENTS),
        )
        found = await asyncio.gather(*(self.find(each.decode()) for each in ids))
        return [client for client in found if client is not None], total

    async def create(self, client: Client) -> None:
        name = keys.client(client.id)
        await self._store.idempotent("ZADD", keys.CLIENTS, client.created, client.id)
        await self._store.idempotent("HSET", name, "client", orjson.dumps(asdict(client)))
        self._clients.forget(name)

    async def change(self, client_id: str, change: Callable[[Client], Client]) -> Client | None:
        """The client after the change, which is applied to its latest state; None if it has been removed."""
        name = keys.client(client_id)
        while (text := await self._store.idempotent("HGET", name, "client")) is not None:
            client = change(_client(text))
            if await compare_and_set(self._store, name, "client", text, orjson.dumps(asdict(client))):
                self._clients.forget(name)
                return client
        return None

    async def remove(self, client_id: str) -> None:
        await self._store.idempotent("DEL", keys.client(client_id))
        self._clients.forget(keys.client(client_id))
        await self._store.idempotent("ZREM", keys.CLIENTS, client_id)
        await self._store.idempotent("DEL", keys.users(client_id))

    async def save_registration_token(self, token: str, admin_id: str) -> None:
        await self._store.idempotent("SET", keys.registration(digest(token)), admin_id, "EX", REGISTRATION_LIFETIME)

    async def maker_of_registration_token(self, token: str) -> str | None:
        """The id of the administrator who made it; None for a token that is not valid."""
        found = await self._store.idempotent("GET", keys.registration(digest(token)))
        return found.decode() if found is not None else None


def _parse_client(_: str, fields: Fields) -> Client | None:
    return _client(fields[b"client"]) if b"client" in fields else None


def _client(text: bytes) -> Client:
    table: Any = orjson.loads(text)
    given: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in table.items()}
    return from_stored(Client, given)
