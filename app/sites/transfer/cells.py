"""The cells of exported tables, read with the line named that is wrong. Pure."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import orjson

from app.sites.page_address import CONTROL, BadAddress, PathRules, page_address
from app.sites.referrers import cut
from app.sites.site_calendar import parse_day, usual_day
from app.sites.transfer.agent_names import our_name
from app.sites.transfer.unpack import BadFile, Upload

MAX_COUNT = 10**12
SQL_NULL = r"\N"


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
    """An id of the visitor, if the file has a row for each visit: visitors are counted by it."""


@dataclass(frozen=True, slots=True)
class Context:
    """The site's rules for pages and days."""

    rules: PathRules
    place: ZoneInfo


def table_rows(
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
            yield last, {key: "" if cell == SQL_NULL else cell for key, cell in zip(header, cells, strict=True)}
    except csv.Error as error:
        raise BadFile(f"line {last}: {error}") from None


def documents(upload: Upload, name: str) -> Iterator[tuple[int, dict[str, object]]]:
    """(line, object) of JSON lines."""
    for number, line in upload.lines(name):
        if not line.strip():
            continue
        try:
            document = orjson.loads(line)
        except orjson.JSONDecodeError:
            raise BadFile(f"line {number}: is not valid JSON") from None
        if not isinstance(document, dict):
            raise BadFile(f"line {number}: must be a JSON object")
        yield number, document


def number_of(line: int, name: str, text: str) -> int:
    text = text.strip() or "0"
    if not text.isascii() or not text.isdigit() or len(text) > 13 or int(text) > MAX_COUNT:
        raise BadFile(f"line {line}: {name} is no number: {text[:40]!r}")
    return int(text)


def day_of_text(line: int, text: str) -> date:
    try:
        return parse_day(text.strip())
    except ValueError:
        raise BadFile(f"line {line}: the date is none, such as 2026-11-28: {text[:40]!r}") from None


def day_of_moment(line: int, text: str, context: Context) -> date:
    """The site's day of a moment in UTC."""
    try:
        moment = datetime.fromisoformat(text.strip())
        return usual_day((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(context.place).date())
    except (ValueError, OverflowError):
        raise BadFile(f"line {line}: the date is none, such as 2026-11-28T12:00:00Z: {text[:40]!r}") from None


def path_of(line: int, text: str, context: Context) -> str:
    try:
        return page_address(text, context.rules).path
    except BadAddress as error:
        raise BadFile(f"line {line}: the path {error}") from None


def list_names(*pairs: tuple[str, str]) -> tuple[str, ...]:
    """The names of lists, without those that are empty."""
    plain = ((kind, cut(CONTROL.sub(" ", our_name(kind, name)))) for kind, name in pairs)
    return tuple(f"{kind}:{name}" for kind, name in plain if name)


def base_name(member: str) -> str:
    """The name of a ZIP's member without its folders."""
    return member.rpartition("/")[2]
