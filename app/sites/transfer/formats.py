"""The exports of other counters, read row by row. Pure.

A reader yields what was counted: `Row`s, and raises BadFile that names the line. To add a format: a reader, and a line
in READERS.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import orjson

from app.sites.page_address import BadAddress, PathRules, page_address
from app.sites.referrers import cut, referrer_name
from app.sites.site_calendar import parse_day
from app.sites.transfer.unpack import BadFile, Upload

MAX_COUNT = 10**12
NOTHING = r"\N"


@dataclass(frozen=True, slots=True)
class Row:
    """Counts of a page on a day. Without a path they are the site's visitors of the day; `names` are the lists
    (`<list>:<name>`) that they belong to.
    """

    day: date | None
    path: str
    visits: int
    visitors: int
    names: tuple[str, ...] = ()
    session: str = ""
    """Who it was, where the file has a row for each visit: the visitors are then counted from it."""


@dataclass(frozen=True, slots=True)
class Context:
    """How the site writes its pages and its days."""

    rules: PathRules
    place: ZoneInfo


Reader = Callable[[Upload, Context], Iterator[Row]]
Cells = Mapping[str, str]


def detect(upload: Upload) -> str:
    """The name of the format. Raises BadFile."""
    if upload.names != [""]:
        if any(_base(name).startswith("imported_") for name in upload.names):
            return "plausible"
        if any(_base(name) == "paths.jsonl" for name in upload.names):
            return "goatcounter"
        if any(_base(name) == "pages.csv" for name in upload.names):
            return "umami"
        raise BadFile("the ZIP is no export that is known")
    _, first = next(upload.lines(""), (0, ""))
    if first[1:].startswith("Path,Title,Event"):
        return "goatcounter"
    if "website_id" in first and "url_path" in first:
        return "umami"
    return "plain"


def plain(upload: Upload, context: Context) -> Iterator[Row]:
    """`path,visits[,visitors][,date]`, or the same as JSON lines: our own export, too."""
    if upload.names != [""]:
        raise BadFile("a ZIP is no plain CSV")
    _, first = next(upload.lines(""), (0, ""))
    if first.lstrip().startswith("{"):
        yield from _json_rows(upload, context)
        return
    for number, cells in _table(upload, "", ("path", "visits")):
        yield _plain_row(number, cells, context)


def goatcounter(upload: Upload, context: Context) -> Iterator[Row]:
    """Its CSV, a page view a row; or the ZIP of JSON lines of newer versions."""
    if upload.names != [""]:
        yield from _goatcounter_zip(upload, context)
        return
    for number, cells in _table(upload, "", ("Path", "Date"), version=True):
        if cells.get("Bot", "0") not in {"", "0"}:
            continue
        path, day = cells["Path"], _moment(number, cells["Date"], context)
        if cells.get("Event", "0") == "1":
            yield Row(day, "", 0, 0, (f"e:{cut(path)}",))
            continue
        first = 1 if cells.get("FirstVisit", "1") == "1" else 0
        names = _names(
            ("r", _goatcounter_referrer(cells)),
            ("b", _family(cells.get("Browser", ""))),
            ("s", _family(cells.get("System", ""))),
            ("c", cells.get("Location", "")[:2]),
        )
        yield Row(day, _path(number, path, context), 1, first, names, cells.get("Session", ""))


def umami(upload: Upload, context: Context) -> Iterator[Row]:
    """Its cloud's CSV, an event a row; or the ZIP of a self-hosted one, which has visitors only and no days."""
    if upload.names != [""]:
        name = next(name for name in upload.names if _base(name) == "pages.csv")
        for number, cells in _table(upload, name, ("x", "y")):
            visitors = _number(number, "y", cells["y"])
            yield Row(None, _path(number, cells["x"] or "/", context), visitors, visitors)
        return
    for number, cells in _table(upload, "", ("url_path", "event_type", "created_at", "session_id")):
        day = _moment(number, cells["created_at"], context)
        if cells["event_type"] == "2":
            yield Row(day, "", 0, 0, (f"e:{cut(cells.get('event_name', '') or 'event')}",))
        elif cells["event_type"] == "1":
            query = cells.get("url_query", "")
            path = _path(number, cells["url_path"] + (f"?{query.lstrip('?')}" if query else ""), context)
            names = _names(
                ("r", cells.get("referrer_domain", "").removeprefix("www.")),
                ("b", cells.get("browser", "")),
                ("s", cells.get("os", "")),
                ("l", cells.get("language", "").partition("-")[0]),
                ("c", cells.get("country", "")),
            )
            yield Row(day, path, 1, 1, names, cells["session_id"] or "?")


def plausible(upload: Upload, context: Context) -> Iterator[Row]:
    """The tables of its ZIP: pages, the days' visitors, and the lists."""
    tables = {_base(name).removeprefix("imported_").rsplit("_", 2)[0]: name for name in upload.names}
    if "pages" not in tables:
        raise BadFile("the ZIP has no imported_pages_... .csv")
    for number, cells in _table(upload, tables["pages"], ("date", "page", "pageviews", "visitors")):
        visits, visitors = (
            _number(number, "pageviews", cells["pageviews"]),
            _number(number, "visitors", cells["visitors"]),
        )
        day = _day(number, cells["date"])
        yield Row(day, _path(number, cells["page"], context), max(visits, visitors), visitors, (), "-")
    if "visitors" in tables:
        for number, cells in _table(upload, tables["visitors"], ("date", "visitors")):
            yield Row(_day(number, cells["date"]), "", 0, _number(number, "visitors", cells["visitors"]))
    for table, column, kind in (
        ("sources", "source", "r"),
        ("browsers", "browser", "b"),
        ("operating_systems", "operating_system", "s"),
        ("locations", "country", "c"),
    ):
        if table in tables:
            for number, cells in _table(upload, tables[table], ("date", column, "visitors")):
                visits = _number(number, "pageviews", cells.get("pageviews") or cells["visitors"])
                visitors = _number(number, "visitors", cells["visitors"])
                names = _names((kind, cells[column].lower() if kind == "r" else cells[column]))
                if names:
                    yield Row(_day(number, cells["date"]), "", visits, visitors, names, "list")


READERS: dict[str, Reader] = {
    "goatcounter": goatcounter,
    "umami": umami,
    "plausible": plausible,
    "plain": plain,
}


def _table(
    upload: Upload, name: str, columns: tuple[str, ...], *, version: bool = False
) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, cells by column) of a CSV. `version`: its first character is the format's number."""
    last = 0

    def texts() -> Iterator[str]:
        nonlocal last
        for number, line in upload.lines(name):
            last = number
            if "\0" in line:
                raise BadFile(f"line {number}: must not contain zero bytes")
            yield line

    rows = csv.reader(texts(), strict=True)
    try:
        header = [cell.strip() for cell in next(rows, [])]
        if version and header:
            header[0] = header[0][1:]
        missing = [column for column in columns if column not in header]
        if missing:
            raise BadFile(f"line 1: the column {missing[0]} is missing")
        for cells in rows:
            if not cells:
                continue
            if len(cells) != len(header):
                raise BadFile(f"line {last}: has {len(cells)} columns instead of {len(header)}")
            yield last, {key: "" if cell == NOTHING else cell for key, cell in zip(header, cells, strict=True)}
    except csv.Error as error:
        raise BadFile(f"line {last}: {error}") from None


def _plain_row(number: int, cells: Cells, context: Context) -> Row:
    visits = _number(number, "visits", cells["visits"])
    visitors = _number(number, "visitors", cells.get("visitors") or "0")
    day = _day(number, cells["date"]) if cells.get("date") else None
    if not cells["path"]:
        return Row(day, "", visits, visitors)
    if visitors > visits:
        raise BadFile(f"line {number}: visitors must not be more than visits")
    return Row(day, _path(number, cells["path"], context), visits, visitors)


def _json_rows(upload: Upload, context: Context) -> Iterator[Row]:
    for number, line in upload.lines(""):
        if not line.strip():
            continue
        try:
            document = orjson.loads(line)
        except orjson.JSONDecodeError:
            raise BadFile(f"line {number}: is not valid JSON") from None
        if not isinstance(document, dict):
            raise BadFile(f"line {number}: must be a JSON object")
        if "tallygate" in document:
            continue
        if "list" in document:
            names = _names((str(document["list"])[:1], str(document.get("name", ""))))
            visits, visitors = (_number(number, key, str(document.get(key, 0))) for key in ("visits", "visitors"))
            yield Row(_day(number, str(document.get("date"))), "", visits, visitors, names, "list")
            continue
        cells = {key: str(document.get(key) if document.get(key) is not None else "") for key in ("path", "date")}
        cells |= {key: str(document.get(key, 0) or 0) for key in ("visits", "visitors")}
        yield _plain_row(number, cells, context)


def _goatcounter_zip(upload: Upload, context: Context) -> Iterator[Row]:
    members = {_base(name): name for name in upload.names}
    paths: dict[object, str] = {}
    for number, document in _documents(upload, members["paths.jsonl"]):
        if not document.get("event"):
            key = document.get("id", document.get("path_id"))
            paths[key] = _path(number, str(document.get("path", "")), context)
    stats = next((members[name] for name in members if name.startswith(("hit_stats", "hit_counts"))), None)
    if stats is None:
        raise BadFile("the ZIP has no hit_stats.jsonl")
    for number, document in _documents(upload, stats):
        if document.get("path_id") in paths:
            count = _number(number, "count", str(document.get("count", document.get("total", ""))))
            day = _moment(number, str(document.get("hour", "")), context)
            yield Row(day, paths[document["path_id"]], count, count)


def _documents(upload: Upload, name: str) -> Iterator[tuple[int, dict[str, object]]]:
    for number, line in upload.lines(name):
        try:
            document = orjson.loads(line)
        except orjson.JSONDecodeError:
            raise BadFile(f"line {number}: is not valid JSON") from None
        if not isinstance(document, dict):
            raise BadFile(f"line {number}: must be a JSON object")
        yield number, document


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _number(line: int, name: str, text: str) -> int:
    text = text.strip() or "0"
    if not text.isascii() or not text.isdigit() or len(text) > 13 or int(text) > MAX_COUNT:
        raise BadFile(f"line {line}: {name} is no number: {text[:40]!r}")
    return int(text)


def _day(line: int, text: str) -> date:
    try:
        return parse_day(text.strip())
    except ValueError:
        raise BadFile(f"line {line}: the date is none, such as 2026-11-28: {text[:40]!r}") from None


def _moment(line: int, text: str, context: Context) -> date:
    """The site's day of a moment in UTC."""
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(context.place).date()
    except (ValueError, OverflowError):
        raise BadFile(f"line {line}: the date is none, such as 2026-11-28T12:00:00Z: {text[:40]!r}") from None


def _path(line: int, text: str, context: Context) -> str:
    try:
        return page_address(text, context.rules).path
    except BadAddress as error:
        raise BadFile(f"line {line}: the path {error}") from None


def _names(*pairs: tuple[str, str]) -> tuple[str, ...]:
    return tuple(f"{kind}:{cut(name)}" for kind, name in pairs if name.strip())


def _family(text: str) -> str:
    """`Chrome 86` is Chrome."""
    words = text.split()
    return " ".join(word for word in words if not word[0].isdigit())


def _goatcounter_referrer(cells: Cells) -> str:
    referrer = cells.get("Referrer", "")
    return referrer_name(f"https://{referrer}") if cells.get("Referrer scheme") == "h" else referrer
