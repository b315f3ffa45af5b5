"""The supervisor of several workers, where a whole service would show too rarely what it does."""

import os
import signal
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from uvicorn.supervisors.multiprocess import SIGNALS, Process

from app.server.workers import Workers
from tests.helpers.sockets import PATIENCE


class Starting(Process):
    """A worker that does not answer yet."""

    def is_alive(self, timeout: float = 5) -> bool:
        return self.ping(timeout)

    def kill(self) -> None:
        raise AssertionError("it was waited for in vain")


@pytest.fixture
def workers() -> Iterator[Workers]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    with socket.socket() as public:
        workers = Workers(uvicorn.Config("app.main:app", timeout_worker_healthcheck=int(PATIENCE)), public)
        workers.processes = [Starting(workers.config, []), Starting(workers.config, [])]
        yield workers
    for process in workers.processes:
        process.parent_conn.close()
        process.child_conn.close()
    for number, handler in before.items():
        signal.signal(number, handler)


def test_sigterm_is_heard_while_workers_are_waited_for(workers: Workers) -> None:
    telling = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM))
    telling.start()
    workers.keep_subprocess_alive()
    telling.join()
    assert workers.should_exit.is_set()
