"""Runs coroutines together.

Not by asyncio.TaskGroup: on Python 3.11 and 3.12 it drops an outside `cancel()` that arrives while a child is failing.
A loop around it that catches the child's error would never end.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def run_until_one_ends(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Runs all until the first ends or this is cancelled, then cancels the others and waits for them.

    Raises the error of the one that ended.
    """
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in ended:
        task.result()
