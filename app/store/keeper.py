"""The embedded server's keeper: starts it, starts it again when it dies, stops it when nobody uses it any more.

Run as a script, detached, with nothing but the standard library: `python keeper.py FOLDER SERVER`.
Each process that uses the server holds a shared lock on `users.lock`; the keeper waits until it can have that lock
for itself. The kernel drops the locks of a killed process, so none of this can go stale.
"""

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

TICK = 0.05
"""Seconds between two looks at the server and at its users."""
LINGER = 1.0
"""Seconds that the server outlives its last user: `uvicorn --reload` is back within them."""
HEALTHY = 2.0
"""Seconds after which a server that ran has started well; one that dies sooner is not started again."""
PR_SET_PDEATHSIG = 1
ON_LINUX = sys.platform == "linux"


def main(folder: Path, server: str) -> int:
    os.umask(0o077)
    keeper_lock = os.open(folder / "keeper.lock", os.O_RDWR | os.O_CREAT, 0o600)
    if not locked(keeper_lock):
        return 0  # another keeper was faster
    users_lock = os.open(folder / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
    failed = folder / "failed"
    failed.unlink(missing_ok=True)
    while True:
        started, said = time.monotonic(), log_size(folder)
        child = start(folder, server)
        while child.poll() is None:
            if deserted(users_lock):
                child.terminate()  # it writes its file to the end before it leaves
                child.wait()
                return 0
            time.sleep(TICK)
        if time.monotonic() - started < HEALTHY:
            failed.write_text(last_words(folder, said), "utf-8")
            return 1


def start(folder: Path, server: str) -> "subprocess.Popen[bytes]":
    options = {
        "port": "0",
        "unixsocket": "valkey.sock",
        "unixsocketperm": "700",
        "dir": str(folder),
        "logfile": "valkey.log",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return subprocess.Popen(
        [server, *arguments], cwd=folder, stdin=subprocess.DEVNULL, preexec_fn=die_with_me if ON_LINUX else None
    )


def die_with_me() -> None:
    """Lets the kernel stop the server when the keeper itself is killed: nothing is left behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def deserted(users_lock: int) -> bool:
    """Whether nobody has used the server for LINGER seconds; then the lock is held, and newcomers wait for the end."""
    deadline = time.monotonic() + LINGER
    while True:
        try:
            fcntl.flock(users_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if time.monotonic() >= deadline:
            return True
        fcntl.flock(users_lock, fcntl.LOCK_UN)
        time.sleep(TICK)


def locked(lock: int) -> bool:
    """Takes the keeper's lock; waits a moment, because `revive` tries it for an instant to see whether it is held."""
    deadline = time.monotonic() + 4 * TICK
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(TICK / 10)
        else:
            return True


def log_size(folder: Path) -> int:
    log = folder / "valkey.log"
    return log.stat().st_size if log.exists() else 0


def last_words(folder: Path, offset: int) -> str:
    """What the server said before it gave up: the last warning that it wrote past the offset, in bytes."""
    log = (folder / "valkey.log").read_bytes()[offset:].decode("utf-8", "replace")
    warnings = [line.split(" # ", 1)[1] for line in log.splitlines() if " # " in line]
    return warnings[-1] if warnings else "it gave no reason"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
