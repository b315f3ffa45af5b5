"""Logout messages that wait to be sent to clients. Coroutines raise StoreUnavailable."""

from dataclasses import asdict, dataclass
from typing import Any

import orjson

from app.store.client import Store
from app.store.delayed_queue import DelayedQueue
from app.store.keys import oauth_server as keys
from app.store.records import from_stored

MAX_MESSAGES = 100_000
"""Messages that wait; further ones are dropped."""
FAILURE_LIFETIME = 30 * 86_400


@dataclass(frozen=True, slots=True)
class LogoutMessage:
    """A message to a client that a user's session has ended. `tries` counts failed attempts."""

    client: str
    user: str
    sid: str
    tries: int = 0


@dataclass(frozen=True, slots=True)
class LogoutFailure:
    """A message that a client did not accept. `at` is Unix seconds."""

    at: float
    why: str


class LogoutStore:
    def __init__(self, store: Store, session_lifetime: int) -> None:
        self._store = store
        self._queue = DelayedQueue(store, (keys.LOGOUTS_DUE, keys.LOGOUTS), MAX_MESSAGES)
        self._session_lifetime = session_lifetime

    async def sign_in(self, root: str, client_id: str) -> None:
        """Notes that a session has signed in to a client with back-channel logout."""
        name = keys.signed_in(root)
        await self._store.idempotent("SADD", name, client_id)
        await self._store.idempotent("EXPIRE", name, self._session_lifetime)

    async def signed_in(self, root: str) -> list[str]:
        """The clients that a session has signed in to."""
        return [each.decode() for each in await self._store.idempotent("SMEMBERS", keys.signed_in(root))]

    async def forget(self, root: str) -> None:
        await self._store.idempotent("DEL", keys.signed_in(root))

    async def enqueue(self, message: LogoutMessage, now: float) -> bool:
        """Returns whether there was room."""
        return await self._queue.enqueue(self._queue.new_id(), orjson.dumps(asdict(message)), now)

    async def claim(self, now: float, lease: float, count: int) -> list[tuple[str, LogoutMessage]]:
        """Messages that are due, with their ids; they are due again after `lease` seconds."""
        found = await self._queue.claim(now, lease, count)
        return [(message_id, from_stored(LogoutMessage, orjson.loads(text))) for message_id, text in found]

    async def retry(self, message_id: str, message: LogoutMessage, at: float) -> None:
        await self._queue.retry(message_id, orjson.dumps(asdict(message)), at)

    async def settle(self, message_id: str) -> None:
        """Removes a message that was accepted or given up."""
        await self._queue.settle(message_id)

    async def note_failure(self, client_id: str, failure: LogoutFailure | None) -> None:
        """Keeps the last failure for the client's page; None after a success."""
        name = keys.logout_failed(client_id)
        if failure is None:
            await self._store.idempotent("DEL", name)
        else:
            await self._store.idempotent("SET", name, orjson.dumps(asdict(failure)), "EX", FAILURE_LIFETIME)

    async def failure(self, client_id: str) -> LogoutFailure | None:
        text: Any = await self._store.idempotent("GET", keys.logout_failed(client_id))
        return None if text is None else from_stored(LogoutFailure, orjson.loads(text))
