"""The load: wrk, and what it says."""

import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.machine import BenchError, on_core

CONNECTIONS = 64
POST = Path(__file__).with_name("post.lua")
URIS = Path(__file__).with_name("uris.lua")
LONGEST = 3600
"""Seconds after which a load that waits for something ends anyway."""


@dataclass(frozen=True)
class Answers:
    """What came back: how many answers, in how many seconds, how many not 2xx or 3xx, how many broken connections."""

    count: int
    seconds: float
    refused: int
    broken: int


def require_wrk() -> None:
    """Raise, saying how to install it, when there is no wrk."""
    if shutil.which("wrk") is None:
        raise BenchError("wrk is missing: apt-get install wrk (Debian, Ubuntu) or brew install wrk (macOS)")


def wrk_version() -> str:
    """The version wrk gives itself."""
    words = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout.split()
    return words[1] if len(words) > 1 else "unknown"


def load(
    url: str,
    headers: Mapping[str, str],
    seconds: int,
    core: int | None,
    form: str | None = None,
    pages: int = 1,
    script: Sequence[str] = (),
) -> Answers:
    """Ask for a URL over 64 connections for so many seconds, POST a form to it, or ask as a proxy about many pages; or
    what a script of wrk asks: its path and its arguments.
    """
    command = _command(url, headers, seconds)
    if form is not None:
        command += ["-s", str(POST), "--", form]
    elif pages > 1:
        command += ["-s", str(URIS), "--", str(pages)]
    elif script:
        command += ["-s", script[0], "--", *script[1:]]
    with on_core(core):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    return _parse(done.stdout, done.stderr)


def load_until(enough: Callable[[], bool], url: str, headers: Mapping[str, str], core: int | None) -> Answers:
    """Ask for a URL over 64 connections until `enough`, looked at 50 times a second, says so."""
    with on_core(core):
        command = _command(url, headers, LONGEST)
        wrk = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while not enough():
            try:
                wrk.wait(0.02)
                break
            except subprocess.TimeoutExpired:
                pass
        wrk.send_signal(signal.SIGINT)  # wrk ends, and still gives its summary
        output, errors = wrk.communicate(timeout=10)
    finally:
        wrk.kill()
        wrk.wait()
    return _parse(output, errors)


def _command(url: str, headers: Mapping[str, str], seconds: int) -> list[str]:
    said = [word for key, value in headers.items() for word in ("-H", f"{key}: {value}")]
    return ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", *said, url]


def _parse(output: str, errors: str) -> Answers:
    found = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m|h)", output)
    if found is None:
        raise BenchError(f"wrk said nothing to count: {(errors or output).strip()}")
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}[found[3]]
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    broken = re.search(r"Socket errors: (.*)", output)
    return Answers(
        int(found[1]),
        float(found[2]) * unit,
        int(refused[1]) if refused else 0,
        sum(int(number) for number in re.findall(r"\d+", broken[1])) if broken else 0,
    )
