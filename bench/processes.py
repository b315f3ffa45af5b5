"""Processes: start one in a group of its own, know what its tree uses, leave none behind."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from bench.machine import ROOT, BenchError, on_core

PATIENCE = 5.0
"""Seconds a server has to end after SIGTERM."""


class Usage(NamedTuple):
    """What a tree of processes has used so far: seconds of CPU (user and system), bytes of memory."""

    cpu: float
    rss: int


class _Row(NamedTuple):
    parent: int
    usage: Usage


class Process:
    """A running program, the leader of its own group, writing to a log that tells why it failed."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log: Path) -> None:
        self.pid = popen.pid
        self._name = name
        self._popen = popen
        self._log = log

    def check(self) -> None:
        """Raise with the last words of the program if it has ended."""
        code = self._popen.poll()
        if code is not None:
            words = self._log.read_text(errors="replace").strip().splitlines()
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            raise BenchError(f"{self._name} {how}: {' | '.join(words[-5:])}")

    def usage(self) -> Usage:
        """What the program and all its descendants have used."""
        table = _process_table()
        tree = {self.pid}
        grown = True
        while grown:
            children = {pid for pid, row in table.items() if row.parent in tree} - tree
            tree |= children
            grown = bool(children)
        used = [table[pid].usage for pid in tree if pid in table]
        return Usage(sum(item.cpu for item in used), sum(item.rss for item in used))

    def stop(self) -> None:
        """End the whole group: politely, then not."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(PATIENCE)
        # The leader may have ended before its workers did.
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()


@contextmanager
def running(
    command: Sequence[str], folder: Path, core: int | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[Process]:
    """Run a command on a core, in a working folder, until the block ends."""
    log = folder / "output.log"
    with log.open("wb") as output, on_core(core):
        popen = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process = Process(Path(command[0]).name, popen, log)
    try:
        yield process
    finally:
        process.stop()


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without the settings that would change what is measured."""
    settings = ("TALLYGATE_", "PYTHON", "GUNICORN_", "UVICORN_", "UWSGI_", "WEB_CONCURRENCY")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(settings)}
    return kept | {"PYTHONPATH": str(ROOT)} | dict(more)


def _process_table() -> dict[int, _Row]:
    """Every process of the machine; CPU counts the children that have ended and were waited for."""
    if not Path("/proc/self/stat").exists():
        return _process_table_of_ps()
    table = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # The name, in parentheses, may hold anything: the fields start after its last one.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            ticks = sum(int(field) for field in fields[11:15])
            usage = Usage(ticks / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf("SC_PAGE_SIZE"))
            table[int(entry.name)] = _Row(int(fields[1]), usage)
    return table


def _process_table_of_ps() -> dict[int, _Row]:
    """The same where there is no /proc (macOS, which tells hundredths of a second)."""
    columns = ("pid", "ppid", "time", "rss")
    command = ["ps", "-A", *(word for column in columns for word in ("-o", f"{column}="))]
    table = {}
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        pid, parent, time, kilobytes = line.split()
        seconds = 0.0
        for part in time.replace("-", ":").split(":"):
            seconds = seconds * 60 + float(part)
        table[int(pid)] = _Row(int(parent), Usage(seconds, int(kilobytes) * 1024))
    return table
