"""uvicorn's supervisor of several workers, changed so that workers hear of signals at once."""

import os
import signal
import socket
from collections.abc import Sequence
from types import FrameType

import uvicorn
from uvicorn.supervisors.multiprocess import Multiprocess, Process

START_LIMIT = 60
"""Seconds within which a new worker has to answer uvicorn's health-check ping, or it is replaced. uvicorn's default of
5 is too short on a busy machine.
"""
STOP_LIMIT = 5
"""Seconds after which a stop cuts off the requests that still run."""


class Workers(Multiprocess):
    """uvicorn's supervisor, changed to pass signals on at once; uvicorn itself polls twice a second."""

    def __init__(self, config: uvicorn.Config, public: socket.socket) -> None:
        super().__init__(config, [public])
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, self._pass_on)
        signal.signal(signal.SIGCHLD, self._stop_waiting)

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        for process in self.processes:
            if process.pid is not None and process.exitcode is None:
                os.kill(process.pid, number)
        self.signal_queue.append(number)
        if number == signal.SIGTERM:
            self.should_exit.set()
            self._answer_for(self.processes)

    def _stop_waiting(self, *_: object) -> None:
        """Has a dead worker replaced now instead of after START_LIMIT."""
        self._answer_for([process for process in self.processes if process.exitcode is not None])

    @staticmethod
    def _answer_for(processes: Sequence[Process]) -> None:
        """Answers uvicorn's health-check ping for the workers, so that the supervisor does not block."""
        for process in processes:
            if not process.child_conn.closed:  # uvicorn closes it when it ends the worker
                process.child_conn.send(True)

    def handle_hup(self) -> None:
        """Does nothing: each worker reopens its log. uvicorn would restart them all."""
