"""Reads the exports of GoatCounter: the CSV, a page view a row, and the ZIP of JSON lines of newer versions. Pure.

The ZIP's files and members: https://github.com/arp242/goatcounter, tpl/help/export-json.md.
"""

from collections.abc import Callable, Iterator, Mapping

from app.sites.hit import screen_class
from app.sites.referrers import referrer_name
from app.sites.transfer.agent_names import without_version
from app.sites.transfer.cells import (
    Context,
    Row,
    base_name,
    day_of_moment,
    day_of_text,
    documents,
    list_names,
    number_of,
    path_of,
    table_rows,
)
from app.sites.transfer.unpack import BadFile, Upload

MAX_IDS = 1_000_000
"""Paths, referrers, browsers or systems of a ZIP, which are held in memory."""
YES = frozenset({"1", "true"})
"""The first version writes words."""
EVENT = "event:"
"""The prefix of an event's name among the paths, which begin with a slash."""
Document = Mapping[str, object]


def goatcounter(upload: Upload, context: Context) -> Iterator[Row]:
    if upload.names != [""]:
        yield from _from_zip(upload, context)
        return
    for number, cells in table_rows(upload, "", ("Path", "Date"), version=True):
        if cells.get("Bot", "0") not in {"", "0"}:
            continue
        path, day = cells["Path"], day_of_moment(number, cells["Date"], context)
        if cells.get("Event", "0") in YES:
            yield Row(day, "", 0, 0, list_names(("e", path)))
            continue
        names = list_names(
            ("r", _referrer(cells.get("Referrer", ""), cells.get("Referrer scheme", ""))),
            ("b", without_version(cells.get("Browser", ""))),
            ("s", cells.get("System", "")),
            ("c", cells.get("Location", "")[:2]),
            ("w", screen_class(cells.get("Screen size", ""))),
        )
        first = 1 if cells.get("FirstVisit", "1") in YES else 0
        yield Row(day, path_of(number, path, context), 1, first, names, cells.get("Session", ""))


def _from_zip(upload: Upload, context: Context) -> Iterator[Row]:
    """GoatCounter counts first visits only: they are visits and visitors here."""
    members = {base_name(name): name for name in upload.names}
    stats = next((name for name in members if name.startswith(("hit_stats", "hit_counts"))), None)
    if "paths.jsonl" not in members or stats is None:
        raise BadFile("the ZIP has no paths.jsonl and hit_stats.jsonl of GoatCounter")

    def path(number: int, document: Document) -> str:
        text = _member(number, document, "path")
        return f"{EVENT}{text}" if document.get("event") else path_of(number, text, context)

    def referrer(_: int, document: Document) -> str:
        return _referrer(_text(document, "ref"), _text(document, "ref_scheme"))

    paths = _by_id(upload, members, "paths.jsonl", path)
    referrers = _by_id(upload, members, "refs.jsonl", referrer)
    for number, document in documents(upload, members[stats]):
        counted = paths.get(_member(number, document, "path_id"))
        count = number_of(number, "count", _member(number, document, "count", "total"))
        day = day_of_moment(number, _member(number, document, "hour"), context)
        if counted is not None and counted.startswith(EVENT):
            yield Row(day, "", count, count, list_names(("e", counted.removeprefix(EVENT))), "list")
        elif counted is not None:
            names = list_names(("r", referrers.get(_text(document, "ref_id"), "")))
            yield Row(day, counted, count, count, names)
    yield from _lists(upload, members, {key for key, counted in paths.items() if counted.startswith(EVENT)})


def _lists(upload: Upload, members: Mapping[str, str], events: set[str]) -> Iterator[Row]:
    """The lists of each day, without what belongs to events."""
    browsers = _by_id(upload, members, "browsers.jsonl", lambda _, it: _text(it, "name"))
    systems = _by_id(upload, members, "systems.jsonl", lambda _, it: _text(it, "name"))
    tables: Mapping[str, tuple[str, Callable[[Document], str]]] = {
        "browser_stats.jsonl": ("b", lambda it: browsers.get(_text(it, "browser_id"), "")),
        "system_stats.jsonl": ("s", lambda it: systems.get(_text(it, "system_id"), "")),
        "location_stats.jsonl": ("c", lambda it: _text(it, "location")[:2]),
        "size_stats.jsonl": ("w", lambda it: screen_class(_text(it, "width"))),
    }
    for table, (kind, name_of) in tables.items():
        for number, document in documents(upload, members[table]) if table in members else ():
            names = list_names((kind, name_of(document)))
            if names and _member(number, document, "path_id") not in events:
                count = number_of(number, "count", _member(number, document, "count"))
                yield Row(day_of_text(number, _member(number, document, "day")), "", count, count, names, "list")


def _by_id(
    upload: Upload, members: Mapping[str, str], file: str, value: Callable[[int, Document], str]
) -> dict[str, str]:
    """What a file of the ZIP says of each id; nothing, where the ZIP has no such file."""
    found: dict[str, str] = {}
    for number, document in documents(upload, members[file]) if file in members else ():
        if len(found) >= MAX_IDS:
            raise BadFile(f"{file} has more than {MAX_IDS:,} ids")
        found[_member(number, document, "id", file.removesuffix("s.jsonl") + "_id")] = value(number, document)
    return found


def _member(number: int, document: Document, *names: str) -> str:
    """The first of these members that is there. Raises BadFile."""
    value = next((document[name] for name in names if name in document), None)
    if not isinstance(value, str | int):
        raise BadFile(f"line {number}: {names[0]} is missing")
    return str(value)


def _text(document: Document, name: str) -> str:
    """A member that may be missing."""
    value = document.get(name)
    return str(value) if isinstance(value, str | int) else ""


def _referrer(text: str, scheme: str) -> str:
    return referrer_name(f"https://{text}") if scheme == "h" else text
