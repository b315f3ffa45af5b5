"""A progress bar of one line."""

import sys
import time

UPDATE_INTERVAL = 0.2
"""Seconds between two updates."""
WIDTH = 30


class Progress:
    """A bar on standard error while it is a terminal; nothing elsewhere."""

    def __init__(self, total: int) -> None:
        self._total = max(total, 1)
        self._done = 0
        self._next = time.monotonic()
        self._shown = sys.stderr.isatty()

    def advance(self, done: int) -> None:
        self._done += done
        if self._shown and time.monotonic() >= self._next:
            self._next = time.monotonic() + UPDATE_INTERVAL
            self._show()

    def end(self) -> None:
        if self._shown:
            self._show()
            print(file=sys.stderr)

    def _show(self) -> None:
        part = min(self._done / self._total, 1.0)
        bar = "#" * round(part * WIDTH)
        print(f"\r[{bar:{WIDTH}}] {part:4.0%} {self._done:,} keys", end="", file=sys.stderr, flush=True)
