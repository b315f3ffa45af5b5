"""What signals do (SIGTERM and SIGINT stop, SIGUSR1 drains, SIGHUP reopens the log); descriptors of children."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any


class Lifecycle:
    """The state of the worker's life.

    Draining (SIGUSR1): `/ready` fails, requests are still answered. `stopping` (SIGTERM, SIGINT): event streams end.
    `broken`: background work has failed, and only a restart brings it back.
    """

    def __init__(self) -> None:
        self._draining = False
        self.stopping = asyncio.Event()
        self.broken = False

    @property
    def leaving(self) -> bool:
        return self._draining or self.stopping.is_set()

    def drain(self) -> None:
        self._draining = True

    @contextmanager
    def listening(self, reopen_logs: Callable[[], None]) -> Iterator[None]:
        """Handles signals until the block ends; does nothing outside the main thread.

        uvicorn ends the lifespan only after the last connection has closed, and an event stream never closes by
        itself. So SIGTERM sets `stopping` first and then calls uvicorn's handler. Only once: at a second Ctrl-C
        uvicorn would skip the end of the lifespan, and queued visits would be lost.
        """
        loop = asyncio.get_running_loop()
        outside = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGUSR1)}
        try:
            loop.add_signal_handler(signal.SIGHUP, reopen_logs)
            loop.add_signal_handler(signal.SIGUSR1, self.drain)
        except (ValueError, RuntimeError):
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        told = False

        def stop(number: int, frame: FrameType | None) -> None:
            nonlocal told
            if told:
                return
            told = True
            loop.call_soon_threadsafe(self.stopping.set)
            handler: Any = before[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)
            else:
                signal.signal(number, handler)
                signal.raise_signal(number)

        for number in before:
            signal.signal(number, stop)
        try:
            yield
        finally:
            for number, handler in outside.items():
                loop.remove_signal_handler(
                    number
                )  # without a handler the signal would kill the process that is about to exit
                signal.signal(number, handler)
            for number, handler in before.items():
                if signal.getsignal(number) is stop:
                    signal.signal(number, handler)


def keep_descriptors_private() -> None:
    """Makes every descriptor non-inheritable. uvicorn's listening sockets are inheritable, and a child process would
    keep the port after the server's end.
    """
    for entry in list(Path("/dev/fd").iterdir()):
        if int(entry.name) > 2:
            try:
                os.set_inheritable(int(entry.name), False)
            except OSError:  # the descriptor of the listing itself
                continue
