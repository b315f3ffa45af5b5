"""Lua scripts, which Redis runs atomically."""

import hashlib
from collections.abc import Sequence

from app.store.client import NoScriptError, Store
from app.store.connection import Argument, Reply


class Script:
    """An idempotent script: it is sent again after a lost connection.

    All its keys share a hash tag, as Redis Cluster demands.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, store: Store, keys: Sequence[str], *arguments: Argument) -> Reply:
        """Returns the script's reply. Raises StoreUnavailable, ResponseError."""
        try:
            return await store.idempotent("EVALSHA", self._sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return await store.idempotent("EVAL", self._text, len(keys), *keys, *arguments)
