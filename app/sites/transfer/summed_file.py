"""Sums up a file in a temporary database: a large file takes disk, and little memory."""

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from app.lazy import LazyModule
from app.sites.counting_script import MAX_OF_LIST, PACKED
from app.sites.site_calendar import compact, from_compact
from app.sites.transfer.cells import Row
from app.sites.transfer.unpack import BadFile

if TYPE_CHECKING:
    import sqlite3
else:
    sqlite3 = LazyModule("sqlite3")

TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -8192;
CREATE TABLE pages (day TEXT, path TEXT, visits INTEGER, visitors INTEGER, PRIMARY KEY (day, path)) WITHOUT ROWID;
CREATE TABLE lists (day TEXT, name TEXT, visits INTEGER, visitors INTEGER, PRIMARY KEY (day, name)) WITHOUT ROWID;
CREATE TABLE visitors (day TEXT PRIMARY KEY, said INTEGER, summed INTEGER) WITHOUT ROWID;
CREATE TABLE seen (day TEXT, who TEXT, PRIMARY KEY (day, who)) WITHOUT ROWID;
"""
ADD_PAGE = (
    "INSERT INTO pages VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "visits = visits + excluded.visits, visitors = visitors + excluded.visitors"
)
ADD_NAME = (
    "INSERT INTO lists VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "visits = visits + excluded.visits, visitors = visitors + excluded.visitors"
)
ADD_VISITORS = (
    "INSERT INTO visitors VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
    "said = said + excluded.said, summed = summed + excluded.summed"
)
TOO_MUCH = (
    "SELECT day, name FROM lists WHERE day > '' GROUP BY day, SUBSTR(name, 1, 2) "
    "HAVING MAX(TOTAL(visits), TOTAL(visitors)) > ? LIMIT 1"
)
UNDATED = ""
MAX_VISITS = 10**15
"""Of a file: scripts in Redis count exactly up to 2**53."""
SUMMED = frozenset({"-", "list"})
"""Sessions of rows that are sums themselves."""


class SummedFile:
    """Rows by day and page. For one thread."""

    def __init__(self, path: Path) -> None:
        self._base = sqlite3.connect(path, isolation_level=None)
        self._base.executescript(TABLES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._base.close()

    def add(self, rows: Iterable[Row]) -> None:
        """Raises what reading the rows raises."""
        self._base.execute("BEGIN")
        for row in rows:
            self._add(row, compact(row.day) if row.day else UNDATED)
        self._base.execute("COMMIT")

    def _add(self, row: Row, day: str) -> None:
        page_visitors, day_visitors = row.visitors, row.visitors
        if row.session and row.session not in SUMMED:
            day_visitors = self._first(day, row.session)
            page_visitors = self._first(day, f"{row.session} {row.path}") if row.path else 0
        for name in row.names:
            visits, visitors = (row.visits, row.visitors) if row.session == "list" else (row.visits or 1, day_visitors)
            self._base.execute(ADD_NAME, (day, name, visits, visitors))
        if row.path:
            self._base.execute(ADD_PAGE, (day, row.path, row.visits, min(page_visitors, row.visits)))
            self._base.execute(ADD_VISITORS, (day, 0, day_visitors if row.session != "-" else 0))
        elif not row.names:
            if row.visits:
                self._base.execute(ADD_PAGE, (day, "", row.visits, 0))
            self._base.execute(ADD_VISITORS, (day, row.visitors, 0))

    def _first(self, day: str, who: str) -> int:
        return self._base.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (day, who)).rowcount

    def totals(self) -> tuple[int, int]:
        """(visits, pages). Raises BadFile for more than can be counted."""
        (most,) = self._base.execute("SELECT MAX(TOTAL(visits), TOTAL(visitors)) FROM pages").fetchone()
        if most > MAX_VISITS:
            raise BadFile(f"it has more than {MAX_VISITS:,} visits")
        query = "SELECT COALESCE(SUM(visits), 0), COUNT(DISTINCT NULLIF(path, '')) FROM pages"
        visits, pages = self._base.execute(query).fetchone()
        return int(visits), int(pages)

    def pages(self) -> Iterator[tuple[str, str, int, int]]:
        """(day, path, visits, visitors); the day is YYYYMMDD or ""."""
        yield from self._base.execute("SELECT day, path, visits, visitors FROM pages ORDER BY day, path")

    def lists(self) -> Iterator[tuple[str, str, str]]:
        """(day, name, visits and visitors in one number). Raises BadFile for more than fits in."""
        for day, name in self._base.execute(TOO_MUCH, (MAX_OF_LIST,)):
            raise BadFile(f"the list of {name[2:]!r} has more than {MAX_OF_LIST:,} visits on {from_compact(day)}")
        rows = self._base.execute("SELECT day, name, visits, visitors FROM lists WHERE day > '' ORDER BY day")
        for day, name, visits, visitors in rows:
            if visits or visitors:
                yield day, name, str(visits + PACKED * visitors)

    def visitors(self) -> Iterator[tuple[str, int]]:
        """(day, the site's visitors): what the file says of the site, else the sum of its pages."""
        yield from self._base.execute(
            "SELECT day, CASE WHEN said > 0 THEN said ELSE summed END FROM visitors WHERE said > 0 OR summed > 0"
        )


def is_after(day: str, first: date) -> bool:
    return day >= compact(first)
