"""Processes that use an embedded server, and what the kernel knows of those that it leaves behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from tests.helpers.service import ROOT
from tests.helpers.sockets import PATIENCE
from tests.helpers.waiting import until

PROGRAM = """
import sys
from pathlib import Path
from app.store.embedded import Embedded, EmbeddedError

embedded = Embedded(Path(sys.argv[1]))
try:
    embedded.hold()
except EmbeddedError as error:
    print(error, flush=True)
    sys.exit(2)
print("holds", flush=True)
sys.stdin.read()
embedded.release()
"""


class User:
    """A process that holds the server of a folder until it is told to leave, or killed."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            **options,
        )

    def says(self) -> str:
        """`holds` once it does, or why it cannot."""
        assert self.process.stdout is not None
        line: bytes = self.process.stdout.readline()
        return line.decode().strip()

    def kill(self) -> None:
        self.process.kill()
        self.end()

    def end(self) -> None:
        self.process.communicate(timeout=PATIENCE)


@contextmanager
def users(folder: Path, count: int = 1, **options: Any) -> Iterator[list[User]]:
    """Processes started at the very same moment, all of which hold the server."""
    started = [User(folder, **options) for _ in range(count)]
    try:
        assert [user.says() for user in started] == ["holds"] * count
        yield started
    finally:
        for user in started:
            user.end()


def client(folder: Path) -> "redis.Redis":
    return redis.Redis(unix_socket_path=str(folder / "valkey.sock"), socket_timeout=PATIENCE, decode_responses=True)


def answered(folder: Path) -> bool:
    try:
        with client(folder) as asked:
            return bool(asked.ping())
    except (redis.ConnectionError, redis.TimeoutError):
        return False


def left_behind(folder: Path) -> dict[int, str]:
    """The supervisor and the server of a folder, by their process ids: the processes at home there."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").readlink() == folder:
                    command = (entry / "cmdline").read_bytes()
                    found[int(entry.name)] = "supervisor" if b"supervisor.py" in command else "server"
            except OSError:  # it has ended, or is not ours
                continue
    return found


def deserted(folder: Path) -> bool:
    return not left_behind(folder)


def only(folder: Path, name: str) -> int:
    """The process id of the one supervisor, or the one server, of the folder, once there is only one."""
    until(lambda: list(left_behind(folder).values()).count(name) == 1)
    (pid,) = [pid for pid, found in left_behind(folder).items() if found == name]
    return pid


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    os.kill(pid, number)
