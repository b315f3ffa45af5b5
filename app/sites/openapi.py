"""How the API of sites is described."""

from zoneinfo import available_timezones

from app.sites.bodies import FirstValues, NewOwner, PersonRight
from app.sites.hit import LeftOut
from app.web.openapi import COUNT, FLAG, NUMBER, TEXT, Operation, Schema, array, obj

SITE_PARAMETER = {"id": "The site's id."}
RANGE = {
    "from": "The first day (YYYY-MM-DD), or `all`; by default 30 days are told.",
    "to": "The last day (YYYY-MM-DD); today by default.",
    "share": "The token of a share, for a site that is not public.",
}
LABEL = "[A-Za-z0-9_][A-Za-z0-9_-]{0,62}"
NO_CONTROL = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"
BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"


def _pattern(pattern: str, **more: int) -> Schema:
    return {"type": "string", "pattern": pattern, **more}


SETTINGS: dict[str, Schema] = {
    "name": _pattern(rf"^[^\s{NO_CONTROL}]([^{NO_CONTROL}]*[^\s{NO_CONTROL}])?$", minLength=1, maxLength=100),
    "hosts": {
        "type": "array",
        "items": _pattern(rf"^{LABEL}(\.{LABEL}){{0,2}}$", maxLength=200),
        "minItems": 1,
        "maxItems": 50,
        "description": "Host names, without scheme and port; international names are accepted, too.",
    },
    "time_zone": {"type": "string", "enum": sorted(available_timezones() - {"localtime"})},
    "keep_query": {"type": "array", "items": _pattern(r"^[A-Za-z0-9_.*-]{1,100}$"), "maxItems": 100},
    "trailing_slash": FLAG,
    "lower_case": FLAG,
    "max_paths": {"type": "integer", "minimum": 1, "maximum": 100_000},
    "public": FLAG,
    "privacy": {"type": "string", "enum": ["total", "nothing"]},
    "frame": {"type": "array", "items": _pattern(rf"^https?://{LABEL}(\.{LABEL}){{0,2}}$"), "maxItems": 100},
    "ignore": {
        "type": "array",
        "items": _pattern(rf"^{BYTE}(\.{BYTE}){{3}}$"),
        "maxItems": 100,
        "description": "Addresses; IPv6 and networks such as 192.0.2.0/24 are accepted, too.",
    },
    "retention_days": {"type": "integer", "minimum": 0, "maximum": 36_500},
}
SITE = obj(
    id=TEXT,
    **{
        name: {"type": schema["type"], **({"items": TEXT} if "items" in schema else {})}
        for name, schema in SETTINGS.items()
    },
    created=NUMBER,
    may={"type": "string", "enum": ["view", "edit", "own"]},
    script=TEXT,
    hit=TEXT,
    tag=TEXT,
)
OWNED = {
    **SITE,
    "properties": {**SITE["properties"], "owner": {"type": ["string", "null"]}},
    "required": [*SITE["required"], "owner"],
}
STATS = obj(
    visits=COUNT,
    visitors=COUNT,
    time_zone=TEXT,
    series=array(obj(at=TEXT, visits=COUNT, visitors=COUNT)),
    before=obj(visits=COUNT),
    left_out={
        "type": "object",
        "properties": {reason.value: COUNT for reason in LeftOut},
        "additionalProperties": False,
    },
)
TOP = obj(rows=array(obj(name=TEXT, visits=COUNT, visitors=COUNT)), other={"type": "integer"})


def _fields(*required: str) -> Schema:
    return {"type": "object", "properties": SETTINGS, "required": list(required), "additionalProperties": False}


def _site(summary: str, responses: dict[int, tuple[str, Schema | None]], **more: object) -> Operation:
    described = {"parameters": SITE_PARAMETER, "problems": (403, 404), "guarded": True} | more
    return Operation(summary=summary, tag="sites", responses=responses, **described)  # type: ignore[arg-type]


CREATE = Operation(
    summary="Creates a site: 60 an hour from an address",
    tag="sites",
    responses={201: ("The site, and the address of its script and of its hits.", SITE)},
    body=_fields("name", "hosts"),
    problems=(429,),
    guarded=True,
)
LIST = Operation(
    summary="The user's sites", tag="sites", responses={200: ("By name.", obj(sites=array(SITE)))}, guarded=True
)
GET = _site("A site", {200: ("The site.", SITE)})
CHANGE = _site("Changes settings of a site", {200: ("The site.", SITE)}, body=_fields(), problems=(403, 404, 409))
REMOVE = _site("Removes a site and all that was counted for it", {204: ("It is gone.", None)})
RESET = _site("Removes all that was counted for a site", {204: ("Its counts are gone.", None)})
CREATE_SHARE = _site(
    "Makes a link for people without an account",
    {201: ("The token, which is shown only now, and the page.", obj(token=TEXT, url=TEXT))},
    problems=(403, 404, 409),
)
REMOVE_SHARE = _site(
    "Withdraws a share",
    {204: ("It is gone.", None)},
    parameters=SITE_PARAMETER | {"token": "The share's token, or its id."},
)
PERSON = SITE_PARAMETER | {"name": "A user's name."}
ADD_PERSON = _site(
    "Lets a user view or edit the site",
    {204: ("It is so.", None)},
    parameters=PERSON,
    body=PersonRight,
    problems=(403, 404, 409),
)
REMOVE_PERSON = _site("Takes a user's right away", {204: ("It is gone.", None)}, parameters=PERSON)
GIVE_SITE = _site(
    "Gives the site to another user: by its owner or an administrator", {204: ("It is so.", None)}, body=NewOwner
)
LIST_ALL = Operation(
    summary="Sites of all users, 500 at a time: for administrators",
    tag="sites",
    responses={
        200: ("In the order of their making; `owner` is null where the user is removed.", obj(sites=array(OWNED)))
    },
    query={"after": "The id of the last site of the page before."},
    problems=(403,),
    guarded=True,
)
GET_STATS = _site(
    "Visits and visitors in a range of days",
    {200: ("The figures, and the visits of the range before it.", STATS)},
    query=RANGE | {"interval": "`hour`, `day` or `month`.", "path": "Only this page."},
    problems=(404,),
    guarded=False,
)
GET_TOP = _site(
    "The most visited pages, or the most frequent names of a list",
    {200: ("The rows, and the visits of all others.", TOP)},
    parameters=SITE_PARAMETER | {"kind": "pages, referrers, countries, browsers, systems, screens, languages, events"},
    query=RANGE | {"limit": "At most so many rows.", "path": "Referrers of this page.", "referrer": "Pages it led to."},
    problems=(404,),
    guarded=False,
)
SET_VALUES = _site(
    "Says what was counted before: a page's first values, or the site's for an empty path; may be repeated",
    {204: ("They are added to what is counted here.", None)},
    body=FirstValues,
    problems=(403, 404, 409),
)
IMPORTS = SITE_PARAMETER | {"import": "The import's id."}
IMPORT = _site(
    "Imports a file, which is the body: an export of GoatCounter, Umami, Plausible or this service, plain or packed",
    {
        200: ("With `preview=1`: what would be added.", obj(visits=COUNT, pages=COUNT)),
        201: ("It is added; the same file again changes nothing.", obj(id=TEXT, visits=COUNT)),
    },
    query={"format": "goatcounter, umami, plausible or plain; found out by default.", "preview": "1: only looks."},
)
LIST_IMPORTS = _site(
    "What was imported",
    {200: ("The imports.", obj(imports=array(obj(id=TEXT, format=TEXT, visits=COUNT, pages=COUNT))))},
)
UNDO_IMPORT = _site("Takes an import of the last 30 days back", {204: ("It is gone.", None)}, parameters=IMPORTS)
EXPORT = _site(
    "Everything that was counted, as CSV or JSON lines, which can be imported again",
    {200: ("The export, streamed.", TEXT)},
    media=("text/csv; charset=utf-8", "application/jsonl; charset=utf-8"),
    query={"format": "csv or jsonl."},
)
GIVE_HOST = _site(
    "Gives a host that several sites name to this one, for Busuanzi: for administrators",
    {204: ("It is so.", None)},
    parameters=SITE_PARAMETER | {"host": "A host name of the site."},
)
