"""The exports of other counters, read row by row. Pure.

A reader yields what was counted: `Row`s, and raises BadFile that names the line. To add a format: a reader, and a line
in READERS.
"""

from collections.abc import Callable, Iterator, Mapping

from app.sites.hit import screen_class
from app.sites.page_address import CONTROL, host_of
from app.sites.referrers import cut, referrer_name
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
from app.sites.transfer.goatcounter import goatcounter
from app.sites.transfer.unpack import BadFile, Upload

UMAMI_MEMBERS = frozenset({"pages.csv", "website_event.csv"})
LISTS = frozenset("rcbswle")
PLAUSIBLE_DEVICES = {"mobile": "phone"}
Reader = Callable[[Upload, Context], Iterator[Row]]
Cells = Mapping[str, str]


def detect(upload: Upload) -> str:
    """The name of the format. Raises BadFile."""
    if upload.names != [""]:
        if any(base_name(name).startswith("imported_") for name in upload.names):
            return "plausible"
        if any(base_name(name) == "paths.jsonl" for name in upload.names):
            return "goatcounter"
        if any(base_name(name) in UMAMI_MEMBERS for name in upload.names):
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
    for number, cells in table_rows(upload, "", ("path", "visits")):
        yield _plain_row(number, cells, context)


def umami(upload: Upload, context: Context) -> Iterator[Row]:
    """Its cloud's CSV, an event a row, also in a ZIP; or the ZIP of a self-hosted one: visitors only, no days."""
    member = next((name for name in upload.names if not name or base_name(name) == "website_event.csv"), None)
    if member is None:
        name = next((name for name in upload.names if base_name(name) == "pages.csv"), None)
        if name is None:
            raise BadFile("the ZIP has no pages.csv and no website_event.csv")
        for number, cells in table_rows(upload, name, ("x", "y")):
            visitors = number_of(number, "y", cells["y"])
            yield Row(None, path_of(number, cells["x"] or "/", context), visitors, visitors)
        return
    for number, cells in table_rows(upload, member, ("url_path", "event_type", "created_at", "session_id")):
        day = day_of_moment(number, cells["created_at"], context)
        if cells["event_type"] == "2":
            yield Row(day, "", 0, 0, list_names(("e", cells.get("event_name", "") or "event")))
        elif cells["event_type"] == "1":
            query = cells.get("url_query", "")
            path = path_of(number, cells["url_path"] + (f"?{query.lstrip('?')}" if query else ""), context)
            names = list_names(
                ("r", _umami_referrer(cells)),
                ("b", cells.get("browser", "")),
                ("s", cells.get("os", "")),
                ("l", cells.get("language", "").partition("-")[0]),
                ("c", cells.get("country", "")),
                ("w", screen_class(cells.get("screen", "").partition("x")[0])),
            )
            yield Row(day, path, 1, 1, names, cells["session_id"] or "?")


def plausible(upload: Upload, context: Context) -> Iterator[Row]:
    """The tables of its ZIP: pages, the days' visitors, and the lists."""
    tables = {base_name(name).removeprefix("imported_").rsplit("_", 2)[0]: name for name in upload.names}
    if "pages" not in tables:
        raise BadFile("the ZIP has no imported_pages_... .csv")
    for number, cells in table_rows(upload, tables["pages"], ("date", "page", "pageviews", "visitors")):
        visits, visitors = (
            number_of(number, "pageviews", cells["pageviews"]),
            number_of(number, "visitors", cells["visitors"]),
        )
        day = day_of_text(number, cells["date"])
        yield Row(day, path_of(number, cells["page"], context), max(visits, visitors), visitors, (), "-")
    if "visitors" in tables:
        for number, cells in table_rows(upload, tables["visitors"], ("date", "visitors")):
            yield Row(day_of_text(number, cells["date"]), "", 0, number_of(number, "visitors", cells["visitors"]))
    for table, column, kind in (
        ("sources", "source", "r"),
        ("browsers", "browser", "b"),
        ("operating_systems", "operating_system", "s"),
        ("locations", "country", "c"),
        ("devices", "device", "w"),
        ("custom_events", "name", "e"),
    ):
        if table in tables:
            for number, cells in table_rows(upload, tables[table], ("date", column, "visitors")):
                visits = number_of(
                    number, "pageviews", cells.get("pageviews") or cells.get("events") or cells["visitors"]
                )
                visitors = number_of(number, "visitors", cells["visitors"])
                text = cells[column].lower() if kind in "rw" else cells[column]
                names = list_names((kind, PLAUSIBLE_DEVICES.get(text, text) if kind == "w" else text))
                if names:
                    yield Row(day_of_text(number, cells["date"]), "", visits, visitors, names, "list")


READERS: dict[str, Reader] = {
    "goatcounter": goatcounter,
    "umami": umami,
    "plausible": plausible,
    "plain": plain,
}


def _plain_row(number: int, cells: Cells, context: Context) -> Row:
    if not cells["visits"].strip():
        raise BadFile(f"line {number}: visits is missing")
    visits = number_of(number, "visits", cells["visits"])
    visitors = number_of(number, "visitors", cells.get("visitors") or "0")
    day = day_of_text(number, cells["date"]) if cells.get("date") else None
    if not cells["path"]:
        return Row(day, "", visits, visitors)
    if visitors > visits:
        raise BadFile(f"line {number}: visitors must not be more than visits")
    return Row(day, path_of(number, cells["path"], context), visits, visitors)


def _json_rows(upload: Upload, context: Context) -> Iterator[Row]:
    for number, document in documents(upload, ""):
        if "tallygate" in document:
            continue
        if "list" in document:
            cells = _members(number, document, "list", "name", "visits", "date")
            if cells["list"] not in LISTS or not cells["name"].strip() or CONTROL.search(cells["name"]):
                raise BadFile(f"line {number}: list and name are no name of a list")
            visits, visitors = (number_of(number, key, cells[key]) for key in ("visits", "visitors"))
            names = (f"{cells['list']}:{cut(cells['name'])}",)
            yield Row(day_of_text(number, cells["date"]), "", visits, visitors, names, "list")
        else:
            yield _plain_row(number, _members(number, document, "path", "visits"), context)


def _members(number: int, document: Mapping[str, object], *needed: str) -> Cells:
    """The members that a line may have, as texts; `needed` have to be there."""
    wrong = {name for name in needed if document.get(name) is None}
    wrong |= {name for name in ("list", "name", "path") if not isinstance(document.get(name, ""), str)}
    if wrong:
        raise BadFile(f"line {number}: {min(wrong)} is missing or no text")
    values = {name: document.get(name) for name in ("list", "name", "path", "date", "visits", "visitors")}
    return {name: "" if value is None else str(value) for name, value in values.items()}


def _umami_referrer(cells: Cells) -> str:
    domain = cells.get("referrer_domain", "")
    return referrer_name(f"https://{domain}", [host_of(f"https://{cells.get('hostname', '')}")]) if domain else ""
