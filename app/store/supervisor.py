"""The supervisor of the embedded server: starts it, restarts it when it dies, stops it after its last user.

Runs as a detached script on the standard library alone: `python supervisor.py FOLDER SERVER`. Three locks in the folder
tell which processes exist: each user of the server shares `users.lock`, for whose exclusive lock the supervisor waits;
the supervisor holds `supervisor.lock`; the server inherits `server.lock`. The kernel drops the locks of a killed
process, so that none goes stale.
"""

import ctypes
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

TICK = 0.05
"""Seconds between two checks of the server and its users."""
LINGER = 1.0
"""Seconds for which the server runs on without users: `uvicorn --reload` restarts within them."""
BLOCK = 65_536
LARGEST_COMMAND = 1 << 20
"""Bytes; longer than any command that a power loss can cut off."""
PR_SET_PDEATHSIG = 1
ON_LINUX = sys.platform == "linux"
NEXT_COMMAND = re.compile(rb"\r\n\*\d+\r\n\$\d+\r\n")


def main(folder: Path, server: str) -> int:
    os.umask(0o077)
    if not try_lock(lock_file(folder / "supervisor.lock"), within=4 * TICK):
        return 0  # another supervisor was faster; `revive` holds this lock only for a moment
    users, data = lock_file(folder / "users.lock"), lock_file(folder / "server.lock")
    (folder / "failed").unlink(missing_ok=True)
    while not try_lock(data, within=TICK):
        # The server of a killed supervisor has to end before another one uses its files.
        request_shutdown(folder)
        if unused(users):
            return 0
    return keep(folder, server, users, data)


def keep(folder: Path, server: str, users: int, data: int) -> int:
    """Runs the server until it has no users (returns 0) or cannot run (returns 1)."""
    load_torn = False
    while not unused(users):
        offset = log_size(folder)
        try:
            child = start(folder, server, data, load_torn=load_torn)
        except OSError as error:
            fail(folder, f"{server}: {error.strerror}")
            return 1
        while child.poll() is None:
            if unused(users):
                child.terminate()  # the server finishes writing its file before it exits
                child.wait()
                return 0
            time.sleep(TICK)
        if child.returncode <= 0:
            time.sleep(TICK)  # killed or told to exit: the data is intact
        elif not load_torn and is_torn(folder):
            cut_padding(folder)
            load_torn = True
        else:
            fail(folder, last_warning(folder, offset))
            return 1
    return 0


def start(folder: Path, server: str, data: int, *, load_torn: bool) -> "subprocess.Popen[bytes]":
    options = {
        "port": "0",
        "unixsocket": "valkey.sock",
        "unixsocketperm": "700",
        "dir": str(folder),
        "logfile": "valkey.log",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "aof-load-truncated": "yes" if load_torn else "no",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return subprocess.Popen(
        [server, *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        pass_fds=[data],
        preexec_fn=partial(die_with_parent, os.getpid(), libc_prctl()) if ON_LINUX else None,
    )


def libc_prctl() -> Callable[[int, int], int]:
    prctl: Callable[[int, int], int] = ctypes.CDLL(None).prctl
    return prctl


def die_with_parent(supervisor: int, prctl: Callable[[int, int], int]) -> None:  # pragma: no cover  (after the fork)
    """Has the kernel stop the server when the supervisor is killed."""
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor:
        os._exit(0)  # the supervisor died before prctl took effect


def request_shutdown(folder: Path) -> None:
    """Asks a running server to shut down."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TICK)
        connection.connect(str(folder / "valkey.sock"))
        connection.sendall(b"SHUTDOWN\r\n")
        connection.recv(64)


def unused(users: int) -> bool:
    """Whether the server had no user for LINGER seconds. Then the lock is held; new users wait for its release."""
    deadline = time.monotonic() + LINGER
    while try_lock(users):
        if time.monotonic() >= deadline:
            return True
        fcntl.flock(users, fcntl.LOCK_UN)
        time.sleep(TICK)
    return False


def lock_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def try_lock(lock: int, within: float = 0) -> bool:
    """Takes the exclusive lock; False if another process holds it for longer than `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(TICK / 10)
        else:
            return True


def fail(folder: Path, reason: str) -> None:
    """Writes the reason, atomically, for the processes that wait for the server."""
    (folder / "failed.new").write_text(reason, "utf-8")
    (folder / "failed.new").replace(folder / "failed")


def log_size(folder: Path) -> int:
    log = folder / "valkey.log"
    return log.stat().st_size if log.exists() else 0


def last_warning(folder: Path, offset: int) -> str:
    """The last warning that the server logged past the offset (bytes)."""
    log = folder / "valkey.log"
    text = log.read_bytes()[offset:].decode("utf-8", "replace") if log.exists() else ""
    warnings = [line.split(" # ", 1)[1] for line in text.splitlines() if " # " in line]
    return warnings[-1] if warnings else "it gave no reason"


def is_torn(folder: Path) -> bool:
    """Whether only the last command or transaction of the append-only file is cut off, as after a power loss.

    The server would treat a wrong length in the middle the same way, and drop everything behind it.
    """
    newest = newest_file(folder)
    if newest is None:
        return False
    with newest.open("rb") as file:
        whole = 0
        while skip_command(file):
            whole = file.tell()
        rest = max(end_of_data(file) - whole, 0)
        file.seek(whole)
        return rest <= LARGEST_COMMAND and not NEXT_COMMAND.search(file.read(rest))


def cut_padding(folder: Path) -> None:
    """Cuts off the zeros at the end, which file systems leave there after a power loss. The server refuses them."""
    newest = newest_file(folder)
    if newest is not None:
        with newest.open("r+b") as file:
            file.truncate(end_of_data(file))


def newest_file(folder: Path) -> Path | None:
    files = folder.glob("appendonlydir/*.incr.aof")
    return max(files, key=lambda path: int(path.name.split(".")[-3]), default=None)


def end_of_data(file: BinaryIO) -> int:
    """The offset behind the last byte that is not zero."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(end - BLOCK, 0)
        file.seek(start)
        data = file.read(end - start).rstrip(b"\0")
        if data:
            return start + len(data)
        end = start
    return 0


def skip_command(file: BinaryIO) -> bool:
    """Moves past one command (`*2`, then `$3`, three bytes ...); False if there is no whole command."""
    count = length(file, b"*")
    if count is None:
        return False
    for _ in range(count):
        size = length(file, b"$")
        if size is None:
            return False
        file.seek(size, os.SEEK_CUR)
        if file.read(2) != b"\r\n":
            return False
    return True


def length(file: BinaryIO, kind: bytes) -> int | None:
    line = file.readline(32)
    number = line[1:-2]
    return int(number) if line[:1] == kind and line[-2:] == b"\r\n" and number.isdigit() else None


if __name__ == "__main__" and os.fork() == 0:
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
