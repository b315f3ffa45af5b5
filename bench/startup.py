"""How long is a start? `python -m bench.startup` times the service on its embedded Valkey, in a warm data folder."""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.arena import free_ports, wait_until_answered
from bench.command import positive, run
from bench.contestants import TALLYGATE_JSON
from bench.machine import BenchError
from bench.processes import running

LINGER = 15.0
"""Seconds the embedded server has to follow the service that used it."""


def main() -> int:
    """Start several times, nothing pinned; print the median from exec to the first 200."""
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description=__doc__)
    parser.add_argument("--starts", type=positive, default=7, help="timed starts, after one that warms up (7)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tallygate-bench-") as name:
        folder = Path(name)
        cold, *warm = (_start(folder) for _ in range(options.starts + 1))
    print(f"First start, empty data folder: {cold:.2f} s")
    print(f"Warm: median {statistics.median(warm):.2f} s of {len(warm)} ({min(warm):.2f}..{max(warm):.2f})")
    return 0


def _start(folder: Path) -> float:
    """Seconds from exec to the first 200; returns when nothing of the service runs any more."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "app", *f"--host 127.0.0.1 --port {port} --workers 1".split()]
    command += ["--data-dir", str(folder / "data"), "--log-file", str(folder / "tallygate.log")]
    begun = time.perf_counter()
    with running(command, folder) as process:
        wait_until_answered(port, TALLYGATE_JSON.path, TALLYGATE_JSON.headers, process)
        took = time.perf_counter() - begun
    _wait_until_alone(folder)
    return took


def _wait_until_alone(folder: Path) -> None:
    """A server that still lingers would make the next start look shorter than it is."""
    end = time.monotonic() + LINGER
    while str(folder) in subprocess.run(["ps", "-A", "-o", "args="], capture_output=True, text=True, check=True).stdout:
        if time.monotonic() > end:
            raise BenchError(f"something still runs in {folder}, {LINGER:g} s after the service has ended")
        time.sleep(0.1)


if __name__ == "__main__":
    run(main)
