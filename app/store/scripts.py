"""Lua scripts: several steps that nothing comes between."""

import hashlib
from collections.abc import Sequence

from app.store.client import NoScriptError, Store
from app.store.connection import Argument, Reply


class Script:
    """A script that may be applied twice without harm: it is sent again after a lost connection.

    All its keys share a hash tag, so that a Redis Cluster accepts it.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, store: Store, keys: Sequence[str], *arguments: Argument) -> Reply:
        """What the script returns. Raises StoreUnavailable, or ResponseError for an error in it."""
        try:
            return await store.idempotent("EVALSHA", self._sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return await store.idempotent("EVAL", self._text, len(keys), *keys, *arguments)
