"""Signals (SIGTERM and SIGINT stop, SIGUSR1 drains, SIGHUP reopens the log); descriptors of children."""

import asyncio
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import structlog

RESERVED_DESCRIPTORS = 32
WARNING_INTERVAL = 60
"""Seconds between two log lines about descriptors."""


class Descriptors:
    """The file descriptors that the process may open. The last ones are for Redis, the log and other files."""

    def __init__(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with suppress(OSError, ValueError):  # macOS allows less than its hard limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        self.limit = sys.maxsize if soft == resource.RLIM_INFINITY else soft
        self._most = self.limit - RESERVED_DESCRIPTORS
        self._told = float("-inf")

    def scarce(self, descriptor: int) -> bool:
        """Whether a new connection's descriptor is among the last; logs that once a minute."""
        if descriptor < self._most:
            return False
        if time.monotonic() - self._told >= WARNING_INTERVAL:
            self._told = time.monotonic()
            structlog.get_logger("app").error(
                "connections are refused: too many files are open; raise the limit (ulimit -n)",
                limit=self._most + RESERVED_DESCRIPTORS,
            )
        return True


class Lifecycle:
    """The state of the worker's life.

    Draining (SIGUSR1): `/ready` fails, requests are still answered. `stopping` (SIGTERM, SIGINT): event streams end.
    `broken`: background work has failed, and only a restart brings it back.
    """

    def __init__(self) -> None:
        self._draining = False
        self.stopping = asyncio.Event()
        self.broken = False
        self.descriptors = Descriptors()

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
            with _ends_with_parent(loop):
                yield
        finally:
            for number, handler in outside.items():
                # Without a handler the signal would kill the process that is about to exit.
                loop.remove_signal_handler(number)
                signal.signal(number, handler)
            for number, handler in before.items():
                if signal.getsignal(number) is stop:
                    signal.signal(number, handler)


@contextmanager
def _ends_with_parent(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Stops a worker, as SIGTERM does, when its parent is killed: it would keep serving and hold the port."""
    parent = multiprocessing.parent_process()
    if parent is None:
        yield
        return

    def stop() -> None:
        loop.remove_reader(parent.sentinel)
        structlog.get_logger("app").error("the parent of the workers has died: this worker stops")
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(parent.sentinel, stop)
    try:
        yield
    finally:
        loop.remove_reader(parent.sentinel)


def open_missing_descriptors() -> None:
    """Opens /dev/null for each closed standard stream: the next opened file or socket would take its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


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
