"""What the stores that write users have in common."""

import time
from collections.abc import Callable

from app.store.client import Store


class BaseStore:
    """Coroutines raise StoreUnavailable, and may be called again after that. `changed` is called with the key of each
    written user, so that the worker's own cache is not stale.
    """

    def __init__(
        self,
        store: Store,
        *,
        changed: Callable[[str], None] = lambda key: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._changed = changed
        self._clock = clock
