"""Sorts more lines than memory holds: sorted runs in a temporary file, which are merged."""

import heapq
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

RUN_BYTES = 4_000_000
"""Bytes of lines that are sorted in memory."""
BLOCK = 16_384
"""Bytes of each run that are in memory during the merge."""


class SortedLines:
    """Lines are added, and then read once, sorted and without repeats. The temporary file has no name."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  closed by __exit__
        self._runs: list[tuple[int, int]] = []
        self._lines: list[bytes] = []
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, lines: list[bytes]) -> None:
        self._lines += lines
        self._bytes += sum(map(len, lines))
        if self._bytes >= RUN_BYTES:
            self._write_run()

    def __iter__(self) -> Iterator[bytes]:
        self._write_run()
        self._file.flush()
        last = b""
        for line in heapq.merge(*(self._read_run(first, end) for first, end in self._runs)):
            if line != last:
                yield line
            last = line

    def _write_run(self) -> None:
        self._lines.sort()
        first = self._file.tell()
        self._file.writelines(self._lines)
        self._runs.append((first, self._file.tell()))
        self._lines, self._bytes = [], 0

    def _read_run(self, place: int, end: int) -> Iterator[bytes]:
        rest = b""
        while place < end:
            block = os.pread(self._file.fileno(), min(BLOCK, end - place), place)
            place += len(block)
            *lines, rest = (rest + block).splitlines(keepends=True)
            yield from lines
        yield rest
