"""Coming and going: learns of signals in time, and keeps a child from holding the listening port."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any


class Lifecycle:
    """`draining` (SIGUSR1): no new requests wanted. `stopping` (SIGTERM, SIGINT): streams say goodbye. `broken`: work
    that goes on beside the requests has failed, and only another start brings it back.
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
        """Listens to signals until the end of the block; does nothing outside the main thread.

        uvicorn tells the application of its end only after the last connection has closed, which an open event
        stream never does: so the stop is learned from the signal itself, and uvicorn's handler runs after ours. Only
        once: a second Ctrl-C would have uvicorn leave without the lifespan's end, and so without the visits that wait.
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
                loop.remove_signal_handler(number)  # which alone would let it end the process that is about to end
                signal.signal(number, handler)
            for number, handler in before.items():
                if signal.getsignal(number) is stop:
                    signal.signal(number, handler)


def keep_descriptors_private() -> None:
    """Makes every descriptor non-inheritable: uvicorn hands workers an inheritable listening socket, and a child
    started by one of them would keep the port after the server has gone.
    """
    for entry in list(Path("/dev/fd").iterdir()):
        if int(entry.name) > 2:
            try:
                os.set_inheritable(int(entry.name), False)
            except OSError:  # the listing's own descriptor, closed by now
                continue
