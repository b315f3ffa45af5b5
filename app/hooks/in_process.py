"""Calls functions of hook modules in this process: `on` an event, `before` a sign-in."""

import asyncio
import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import structlog

from app.events.catalogue import EVENTS
from app.events.event import Record
from app.hooks.function_threads import FunctionThreads
from app.settings import SettingsError

MAX_CALLS = 1000
"""Queued and running calls; further ones are dropped with a warning."""
CALL_TIMEOUT = 30.0
BEFORE_TIMEOUT = 2.0
MAX_THREADS = 16
"""Plain functions that run at once after events, and as many before steps."""
EVENTS_ATTRIBUTE = "__tallygate_hooks__"
STEPS = ("sign_in",)
F = TypeVar("F", bound=Callable[..., Any])


class Refused(Exception):
    """Raised by a `before` function: the sentence is shown to the user."""


def on(event: str) -> Callable[[F], F]:
    """Marks a function of one argument, with `.type` and `.data`, to be called after each such event."""
    return _marked("on", event)


def before(step: str) -> Callable[[F], F]:
    """Marks a function to be called before a step, which it may refuse by raising Refused."""
    return _marked("before", step)


def _marked(kind: str, name: str) -> Callable[[F], F]:
    def mark(function: F) -> F:
        setattr(function, EVENTS_ATTRIBUTE, (*getattr(function, EVENTS_ATTRIBUTE, ()), (kind, name)))
        return function

    return mark


class InProcess:
    """Raises SettingsError for a module that cannot be imported, or an unknown event or step."""

    def __init__(self, modules: Sequence[str], on_failure: str) -> None:
        self._refuse = on_failure == "refuse"
        self._on: dict[str, list[Callable[..., Any]]] = {}
        self._before: dict[str, list[Callable[..., Any]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._on_threads, self._before_threads = FunctionThreads(MAX_THREADS), FunctionThreads(MAX_THREADS)
        self._log = structlog.get_logger("app")
        for module in modules:
            self._add(module)

    def _add(self, name: str) -> None:
        try:
            module = importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - a module may raise anything
            raise SettingsError(f"hooks: {name} does not import ({type(error).__name__}: {error})") from None
        for function in vars(module).values():
            for kind, subject in getattr(function, EVENTS_ATTRIBUTE, ()) if inspect.isfunction(function) else ():
                known = EVENTS if kind == "on" else STEPS
                if subject not in known:
                    raise SettingsError(f"hooks: {name}: there is no {subject}; there are {', '.join(known)}")
                (self._on if kind == "on" else self._before).setdefault(subject, []).append(function)

    def notify(self, record: Record) -> None:
        """Calls the event's functions soon. Never raises."""
        for function in self._on.get(record.type, ()):
            if len(self._tasks) >= MAX_CALLS:
                self._log.warning("a hook is not called: too many are running", type=record.type)
                return
            task = asyncio.create_task(self._call(function, record))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def check(self, step: str, record: Record) -> None:
        """Calls the functions for a step. Raises Refused."""
        for function in self._before.get(step, ()):
            try:
                await asyncio.wait_for(_run(function, record, self._before_threads), BEFORE_TIMEOUT)
            except Refused:
                raise
            except Exception as error:  # noqa: BLE001 - a hook may raise anything
                self._log.error("a hook has failed", step=step, hook=function.__qualname__, reason=repr(error))
                if self._refuse:
                    raise Refused("Signing in is not possible now. Please try again later.") from None

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _call(self, function: Callable[..., Any], record: Record) -> None:
        try:
            await asyncio.wait_for(_run(function, record, self._on_threads), CALL_TIMEOUT)
        except Exception as error:  # noqa: BLE001 - a hook may raise anything
            self._log.error("a hook has failed", type=record.type, hook=function.__qualname__, reason=repr(error))


async def _run(function: Callable[..., Any], record: Record, threads: FunctionThreads) -> None:
    """Runs a plain function in a thread, so that it does not block requests."""
    try:
        if inspect.iscoroutinefunction(function):
            await function(record)
        else:
            await threads.run(function, record)
    except SystemExit as error:  # in a task it would end the worker
        raise RuntimeError(f"exit({error.code})") from None
