"""Libraries that are imported at their first use.

An idle worker holds what every request needs. What a feature needs that may never be used (passkeys, signatures, JSON
Schema, imports of other counters) costs no memory, and no time of the start, until then.
"""

import asyncio
import importlib
import sys
from typing import Any


class LazyModule:
    """A module that the first access to one of its attributes imports.

        if TYPE_CHECKING:
            import webauthn
        else:
            webauthn = LazyModule("webauthn")

    An import that fails is tried again by the next access.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        value = self.__dict__[attribute] = getattr(importlib.import_module(self._name), attribute)
        return value


async def imported(name: str) -> None:
    """Imports the module in a thread: in the event loop, an import of a large library holds up every request."""
    if name not in sys.modules:
        await asyncio.to_thread(importlib.import_module, name)
