"""What the commands of the bench share: how they end, and how they read numbers."""

import argparse
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from bench.machine import BenchError

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(command: Callable[[], int]) -> NoReturn:
    """Run a command: one line for what stops it, and whatever it started is stopped on Ctrl-C or SIGTERM."""
    for ending in ENDINGS:
        signal.signal(ending, _stop)
    try:
        sys.exit(command())
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("bench: stopped", file=sys.stderr)
        sys.exit(130)


def positive(text: str) -> int:
    """A whole number from 1 up, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    # A second Ctrl-C must not interrupt the stopping of the servers.
    for ending in ENDINGS:
        signal.signal(ending, signal.SIG_IGN)
    raise KeyboardInterrupt
