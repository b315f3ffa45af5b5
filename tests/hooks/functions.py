"""A module of hooks, as a user of the service writes one."""

import asyncio
import threading
from typing import Any

from app.hooks import Refused, before, on

calls: list[tuple[str, dict[str, Any]]] = []
hang = threading.Event()
"""Ends the functions that hang."""


@on("session.began")
@on("config.changed")
async def note(event: Any) -> None:
    calls.append((event.type, event.data))


@on("config.changed")
def fail(event: Any) -> None:
    raise ValueError(event.type)


@before("sign_in")
def no_charlie(event: Any) -> None:
    if event.data["name"] == "charlie":
        raise Refused("Charlie may not sign in on Saturdays.")


@before("sign_in")
async def late(event: Any) -> None:
    if event.data["name"] == "bob":
        await asyncio.sleep(60)


@on("sign_in.refused")
def hanging(event: Any) -> None:
    calls.append((event.type, event.data))
    hang.wait(60)
