"""What a worker learns from signals."""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from app.server.lifecycle import Lifecycle
from tests.helpers.sockets import PATIENCE


@pytest.fixture
def on_sigterm() -> Iterator[Callable[[Any], None]]:
    """Sets what a server does on SIGTERM before the application comes; put back afterwards."""
    before = signal.getsignal(signal.SIGTERM)

    def does(handler: Any) -> None:
        signal.signal(signal.SIGTERM, handler)

    yield does
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
async def hearing() -> AsyncIterator[tuple[Lifecycle, list[str]]]:
    """A lifecycle that listens, and what it has done about the log."""
    done: list[str] = []
    lifecycle = Lifecycle()
    with lifecycle.listening(lambda: done.append("reopened")):
        yield lifecycle, done


async def so(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.001)


async def test_sighup_reopens_the_log(hearing: tuple[Lifecycle, list[str]]) -> None:
    lifecycle, done = hearing
    signal.raise_signal(signal.SIGHUP)
    await so(lambda: done == ["reopened"])
    assert not lifecycle.leaving


async def test_sigusr1_drains(hearing: tuple[Lifecycle, list[str]]) -> None:
    lifecycle, _ = hearing
    signal.raise_signal(signal.SIGUSR1)
    await so(lambda: lifecycle.leaving)
    assert not lifecycle.stopping.is_set()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
async def test_early_and_late_signals_are_ignored(number: signal.Signals) -> None:
    """A log that is rotated during the stop."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with Lifecycle().listening(lambda: None):
            assert signal.getsignal(number) is not signal.SIG_IGN
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


async def test_sigterm_is_heard_before_the_server_acts_on_it(on_sigterm: Callable[[Any], None]) -> None:
    told: list[int] = []
    on_sigterm(lambda number, _: told.append(number))
    servers = signal.getsignal(signal.SIGTERM)
    lifecycle = Lifecycle()
    with lifecycle.listening(lambda: None):
        signal.raise_signal(signal.SIGTERM)
        await so(lifecycle.stopping.is_set)
        assert told == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is servers


async def test_a_second_signal_does_not_hurry_the_server(on_sigterm: Callable[[Any], None]) -> None:
    """Else uvicorn would leave at once, and the visits that wait to be counted would be lost."""
    told: list[int] = []
    on_sigterm(lambda number, _: told.append(number))
    lifecycle = Lifecycle()
    with lifecycle.listening(lambda: None):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        await so(lifecycle.stopping.is_set)
    assert told == [signal.SIGTERM]


async def test_ignored_sigterm_stays_ignored(on_sigterm: Callable[[Any], None]) -> None:
    on_sigterm(signal.SIG_IGN)
    lifecycle = Lifecycle()
    with lifecycle.listening(lambda: None):
        signal.raise_signal(signal.SIGTERM)
        await so(lifecycle.stopping.is_set)


def test_outside_the_main_thread_there_are_no_signals_and_no_error() -> None:
    ended: list[bool] = []

    async def live() -> None:
        before = signal.getsignal(signal.SIGTERM)
        with Lifecycle().listening(lambda: None):
            ended.append(signal.getsignal(signal.SIGTERM) is before)

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    thread.join(PATIENCE)
    assert ended == [True]
