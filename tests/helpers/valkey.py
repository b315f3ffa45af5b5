"""Valkey servers of the tests' own: the binary that the embedded server uses, under the test's thumb."""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from app.store.embedded import server_binary
from tests.helpers.sockets import PATIENCE


class Valkey:
    """One server on a unix socket in a folder of its own, which is emptied first and keeps its data over `kill` and
    `start`.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        shutil.rmtree(folder, ignore_errors=True)  # another test may have used one of the same name
        self.folder = folder
        self.socket = folder / "v.sock"
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def client(self) -> "redis.Redis":
        """A synchronous client, for what the test itself wants to know."""
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=PATIENCE)

    def start(self, *more: str) -> "Valkey":
        self.folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [
                server_binary(), "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder),
                "--appendonly", "yes", "--save", "", "--logfile", "v.log", *self.options, *more,
            ],
            cwd=self.folder,
        )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert time.monotonic() < deadline, (self.folder / "v.log").read_text()
            time.sleep(0.01)
        return self

    def _answers(self) -> bool:
        try:
            with self.client as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def sync(self) -> None:
        """Waits until the disk has everything: during a sync, even an acknowledged write may be in memory alone."""
        with self.client as client:
            client.set("synced", 1)
            client.waitaof(1, 0, int(PATIENCE * 500))

    def kill(self) -> None:
        """Kill -9: nothing is written to the end."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait(PATIENCE)
            self._process = None


@contextmanager
def valkey(folder: Path, *options: str) -> Iterator[Valkey]:
    server = Valkey(folder, *options).start()
    try:
        yield server
    finally:
        server.stop()
