"""uvicorn's supervisor of several workers, changed so that workers hear of signals at once."""

import os
import signal
import socket
from collections.abc import Sequence
from types import FrameType

import uvicorn
from uvicorn.supervisors.multiprocess import Multiprocess, Process

START_LIMIT = 60
"""Seconds within which a worker has to show a first sign of life: uvicorn kills one that does not, and starts another;
its own 5 would be too few on a busy machine, for ever.
"""
STOP_LIMIT = 5
"""Seconds after which the requests that are still running at the end are cut off."""


class Workers(Multiprocess):
    """uvicorn's supervisor, whose workers hear of a signal at once; uvicorn looks for signals twice a second."""

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
        """Of a worker that has died nothing more comes: it is to be replaced now, and not after START_LIMIT."""
        self._answer_for([process for process in self.processes if process.exitcode is not None])

    @staticmethod
    def _answer_for(processes: Sequence[Process]) -> None:
        """Ends uvicorn's wait for a worker's sign of life, at a pipe of which this process has both ends."""
        for process in processes:
            if not process.child_conn.closed:  # as they are once uvicorn ends its workers
                process.child_conn.send(True)

    def handle_hup(self) -> None:
        """Nothing: each worker opens its log file anew. uvicorn would restart them all."""
