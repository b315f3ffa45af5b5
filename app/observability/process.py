"""The process's own numbers, by the names that Prometheus' clients give them; of several workers, their sums."""

import resource
import time
from collections.abc import Callable
from pathlib import Path

from app.observability.metrics import Reading

READ_INTERVAL = 5.0
"""Seconds between two looks at what takes time to count."""


def process_readings(max_files: int) -> list[Reading]:
    return [
        Reading("process_open_fds", "Open files and connections.", _seldom(_open_files)),
        Reading("process_max_fds", "Files and connections that may be open.", lambda: max_files),
        Reading("process_resident_memory_bytes", "Resident memory, in bytes.", _seldom(_resident_bytes)),
        Reading("process_cpu_seconds", "Processor time, in seconds.", time.process_time, counter=True),
    ]


def _open_files() -> float:
    return sum(1 for _ in Path("/dev/fd").iterdir()) - 1  # the listing is one of them


def _resident_bytes() -> float:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:  # macOS: the most that it was
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _seldom(read: Callable[[], float]) -> Callable[[], float]:
    last, taken = 0.0, float("-inf")

    def kept() -> float:
        nonlocal last, taken
        if time.monotonic() - taken >= READ_INTERVAL:
            last, taken = read(), time.monotonic()
        return last

    return kept
