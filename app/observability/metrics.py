"""Prometheus metrics, summed over all workers of a server, at little cost per request.

Each worker writes numbers into its own row of a shared memory map; the worker that is scraped sums the rows. A worker
that replaces a dead one continues its row, so that counters never decrease.
"""

import fcntl
import hashlib
import mmap
import os
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.responses import Response

from app import __version__
from app.settings import SettingsError

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the request durations' histogram, in seconds."""
CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
ROWS = 64
PER_ROUTE = len(CLASSES) + len(BUCKETS) + 2
OTHER = "other"


@dataclass(frozen=True)
class Reading:
    """A number of a part of the service, read when metrics are gathered."""

    name: str
    help: str
    read: Callable[[], float]
    counter: bool = False


class Metrics(Collector):
    """The metrics of this worker, and of its siblings through the file. `routes` are the templates of all paths."""

    def __init__(self, routes: list[str], file: Path | None) -> None:
        self._routes = [*dict.fromkeys(routes), OTHER]
        self._base = {route: index * PER_ROUTE for index, route in enumerate(self._routes)}
        self._readings: list[tuple[Reading, float]] = []
        self._families: list[Callable[[], Iterator[Metric]]] = []
        self._reading_base = len(self._routes) * PER_ROUTE
        self._width = self._reading_base + 64
        self._lock: int | None = None
        self._memory, self._index = self._map(file)
        self._row = self._row_at(self._index)
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def _map(self, file: Path | None) -> "tuple[memoryview[float], int]":
        """(all rows, the index of this worker's row). The lock on the row's byte owns the row."""
        if file is None:
            return memoryview(bytearray(self._width * 8)).cast("d"), 0
        try:
            self._lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise SettingsError(f"metrics_file: {file} cannot be written ({error.strerror}): choose another") from None
        size = ROWS * self._width * 8
        layout = hashlib.sha256("\n".join(self._routes).encode()).digest()
        fcntl.lockf(self._lock, fcntl.LOCK_EX, 1, ROWS)  # one worker at a time
        if os.pread(self._lock, len(layout), size) != layout:
            # The file is empty, or of another version with other columns.
            if not self._claim(0, ROWS):
                raise SettingsError(f"metrics_file: {file} is in use by another version: choose another")
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, layout, size)
            fcntl.lockf(self._lock, fcntl.LOCK_UN, ROWS, 0)
        row = next(row for row in range(ROWS) if self._claim(row))
        fcntl.lockf(self._lock, fcntl.LOCK_UN, 1, ROWS)
        return memoryview(mmap.mmap(self._lock, size)).cast("d"), row

    def _row_at(self, index: int) -> "memoryview[float]":
        return self._memory[index * self._width : (index + 1) * self._width]

    def _claim(self, first: int, number: int = 1) -> bool:
        """Locks these rows; False if another process holds one of them."""
        assert self._lock is not None
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB, number, first)
        except OSError:
            return False
        return True

    def add(self, *readings: Reading) -> None:
        """Adds readings of this worker; gauges are summed over workers as well.

        A counter continues from the value that a former worker left in the row.
        """
        for reading in readings:
            left = self._row[self._reading_base + len(self._readings)] if reading.counter else 0.0
            self._readings.append((reading, left))

    def add_families(self, families: Callable[[], Iterator[Metric]]) -> None:
        """Adds metrics whose values are the same for all workers."""
        self._families.append(families)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Counts an answered request; `route` is its path template, unknown ones count as "other"."""
        row = self._row
        base = self._base.get(route)
        if base is None:
            base = self._base[OTHER]
        row[base + status // 100 - 1] += 1
        base += len(CLASSES)
        row[base + bisect_left(BUCKETS, seconds)] += 1
        row[base + len(BUCKETS) + 1] += seconds

    def gather(self) -> None:
        """Writes this worker's readings to its row."""
        for index, (reading, left) in enumerate(self._readings):
            self._row[self._reading_base + index] = left + reading.read()

    def _clear_gauges(self, row: "memoryview[float]") -> None:
        for index, (reading, _) in enumerate(self._readings):
            if not reading.counter:
                row[self._reading_base + index] = 0

    def _clear_killed(self) -> None:
        """Clears the gauges of killed workers: no process holds the locks of their rows."""
        if self._lock is None:
            return
        fcntl.lockf(self._lock, fcntl.LOCK_EX, 1, ROWS)
        for index in range(ROWS):
            if index != self._index and self._claim(index):
                self._clear_gauges(self._row_at(index))
                fcntl.lockf(self._lock, fcntl.LOCK_UN, 1, index)
        fcntl.lockf(self._lock, fcntl.LOCK_UN, 1, ROWS)

    def collect(self) -> Iterator[Metric]:
        self._clear_killed()
        self.gather()
        sums = [sum(self._memory[column :: self._width]) for column in range(self._width)]
        requests = CounterMetricFamily("tallygate_requests", "Requests answered.", labels=["route", "status"])
        durations = HistogramMetricFamily(
            "tallygate_request_duration_seconds", "Time from the first byte in to the last byte out.", labels=["route"]
        )
        for route in self._routes:
            base = self._base[route]
            if not any(sums[base : base + len(CLASSES)]):
                continue
            for offset, name in enumerate(CLASSES):
                if sums[base + offset]:
                    requests.add_metric([route, name], sums[base + offset])
            durations.add_metric([route], *_histogram(sums[base + len(CLASSES) : base + PER_ROUTE]))
        yield requests
        yield durations
        for index, (reading, _) in enumerate(self._readings):
            family = CounterMetricFamily if reading.counter else GaugeMetricFamily
            yield family(reading.name, reading.help, value=sums[self._reading_base + index])
        for families in self._families:
            yield from families()
        info = GaugeMetricFamily("tallygate_build_info", "The version that runs.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info

    def response(self) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    def close(self) -> None:
        """Releases the row; counters stay in it, gauges are cleared."""
        self._clear_gauges(self._row)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _histogram(slots: list[float]) -> tuple[list[tuple[str, float]], float]:
    """(cumulated buckets, sum of seconds) of one route's slots: a bucket each, one for longer ones, the sum."""
    *counts, total = slots
    cumulated, buckets = 0.0, []
    for bound, count in zip([*map(str, BUCKETS), "+Inf"], counts, strict=True):
        cumulated += count
        buckets.append((bound, cumulated))
    return buckets, total
