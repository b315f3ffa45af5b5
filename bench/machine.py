"""The machine: its cores, who is pinned to which, and what it calls itself."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).parent.parent
PEERS = ROOT / ".venv-bench"
TOLD_VERSIONS = (
    "uvicorn",
    "uvloop",
    "httptools",
    "starlette",
    "flask",
    "gunicorn",
    "uwsgi",
    "tornado",
    "redis",
    "hiredis",
)


class BenchError(Exception):
    """What stops the bench, in one line that says what to do."""


@dataclass(frozen=True)
class Cores:
    """The core of the server under test, and the core of everything else; None where nothing is pinned."""

    server: int | None = None
    others: int | None = None

    def __str__(self) -> str:
        if self.server is None:
            return "nothing pinned"
        return f"servers on core {self.server}, wrk and Redis on core {self.others}"


def choose_cores() -> Cores:
    """Two cores that this process may use, or none where there are not two or they cannot be chosen."""
    if not hasattr(os, "sched_getaffinity"):
        return Cores()
    usable = sorted(os.sched_getaffinity(0))
    return Cores(usable[0], usable[1]) if len(usable) > 1 else Cores()


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Run on this core, and with it whatever is started inside.

    A child inherits the core with its first instruction; pinning it once it runs would
    leave out the threads it has started by then.
    """
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def describe() -> str:
    """The machine in a line: processor, cores, system, Python."""
    system = f"{platform.system()} {platform.release()}"
    return f"{_processor()}, {os.cpu_count()} cores, {system}, Python {platform.python_version()}"


def peer_versions() -> str:
    """What the peers' environment holds of the packages that matter here."""
    folders = [str(folder) for folder in PEERS.glob("lib/python*/site-packages")]
    found = {item.name.lower(): item.version for item in distributions(path=folders)}
    return ", ".join(f"{name} {found[name]}" if name in found else f"no {name}" for name in TOLD_VERSIONS)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
