"""Lua scripts, which Redis runs atomically."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from app.store.client import NoScriptError, ResponseError, Store, StoreUnavailable
from app.store.connection import Argument, Reply


class Script:
    """A script; all its keys share a hash tag, as Redis Cluster demands."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def command(self, keys: Sequence[str], arguments: Sequence[Argument]) -> tuple[Argument, ...]:
        return "EVALSHA", self._sha, len(keys), *keys, *arguments

    async def run(self, store: Store, keys: Sequence[str], *arguments: Argument) -> Reply:
        """For an idempotent script: it is sent again after a lost connection. Returns the script's reply. Raises
        StoreUnavailable, ResponseError.
        """
        return await self._run(store.idempotent, keys, arguments)

    async def run_once(self, store: Store, keys: Sequence[str], *arguments: Argument) -> Reply:
        """For any other script: after StoreUnavailable it may have run."""
        return await self._run(store.once, keys, arguments)

    async def _run(
        self, ask: Callable[..., Awaitable[Reply]], keys: Sequence[str], arguments: Sequence[Argument]
    ) -> Reply:
        try:
            return await ask(*self.command(keys, arguments))
        except NoScriptError:
            return await ask("EVAL", self._text, len(keys), *keys, *arguments)


class Call(NamedTuple):
    """An idempotent script with its keys and arguments."""

    script: Script
    keys: Sequence[str]
    arguments: Sequence[Argument]


async def run_together(store: Store, *calls: Call) -> list[Reply]:
    """As `Script.run` for each, in one round trip; with `asyncio.gather` each would need a task."""
    try:
        replies = [store.send(*call.script.command(call.keys, call.arguments)) for call in calls]
        return [await reply for reply in replies]
    except (StoreUnavailable, ResponseError):
        return [await call.script.run(store, call.keys, *call.arguments) for call in calls]
