"""The OpenAPI descriptions of sites."""

from functools import partial

from app.sites import bodies
from app.sites.site_settings import NewSite, SiteChanges
from app.web.openapi import Operation, Query

SITE_PARAMETER = {"id": "The site's id."}
RANGE = {
    "from": "The first day (YYYY-MM-DD), or `all`; by default 30 days are told.",
    "to": "The last day (YYYY-MM-DD); today by default.",
    "share": "The token of a share, for a site that is not public.",
}


_sites = partial(Operation, tag="sites", guarded=True)
_site = partial(_sites, parameters=SITE_PARAMETER, problems=(403, 404))
CREATE = _sites(
    "Creates a site: 60 an hour from an address",
    {201: ("The site, and the address of its script and of its hits.", bodies.SiteDocument)},
    body=NewSite,
    problems=(429,),
)
LIST = _sites("The user's sites", {200: ("By name.", bodies.Sites)})
GET = _site("A site", {200: ("The site.", bodies.SiteDocument)})
CHANGE = _site(
    "Changes settings of a site", {200: ("The site.", bodies.SiteDocument)}, body=SiteChanges, problems=(403, 404, 409)
)
REMOVE = _site("Removes a site and all that was counted for it", {204: ("It is gone.", None)})
RESET = _site("Removes all that was counted for a site", {204: ("Its counts are gone.", None)})
CREATE_SHARE = _site(
    "Makes a link for people without an account",
    {201: ("The token, which is shown only now, and the page.", bodies.Share)},
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
    body=bodies.PersonRight,
    problems=(403, 404, 409),
)
REMOVE_PERSON = _site("Takes a user's right away", {204: ("It is gone.", None)}, parameters=PERSON)
GIVE_SITE = _site(
    "Gives the site to another user: by its owner or an administrator", {204: ("It is so.", None)}, body=bodies.NewOwner
)
LIST_ALL = _sites(
    "Sites of all users, 500 at a time: for administrators",
    {200: ("In the order of their making; `owner` is null where the user is removed.", bodies.OwnedSites)},
    query={"after": "The id of the last site of the page before."},
    problems=(403,),
)
GET_STATS = _site(
    "Visits and visitors in a range of days",
    {200: ("The figures, and the visits of the range before it.", bodies.Stats)},
    query=RANGE | {"interval": "`hour`, `day` or `month`.", "path": "Only this page."},
    problems=(404,),
    guarded=False,
)
GET_TOP = _site(
    "The most visited pages, or the most frequent names of a list",
    {200: ("The rows, and the visits of all others.", bodies.Top)},
    parameters=SITE_PARAMETER | {"kind": "pages, referrers, countries, browsers, systems, screens, languages, events"},
    query=RANGE | {"limit": "At most so many rows.", "path": "Referrers of this page.", "referrer": "Pages it led to."},
    problems=(404,),
    guarded=False,
)
SET_VALUES = _site(
    "Says what was counted before: a page's first values, or the site's for an empty path; may be repeated",
    {204: ("They are added to what is counted here.", None)},
    body=bodies.FirstValues,
    problems=(403, 404, 409),
)
IMPORTS = SITE_PARAMETER | {"import": "The import's id."}
IMPORT = _site(
    "Imports a file, which is the body: an export of GoatCounter, Umami, Plausible or this service, plain or packed",
    {
        200: ("With `preview=1`: what would be added.", bodies.ImportPreview),
        201: ("It is added; the same file again changes nothing.", bodies.NewImport),
    },
    query={"format": "goatcounter, umami, plausible or plain; found out by default.", "preview": "1: only looks."},
)
LIST_IMPORTS = _site("What was imported", {200: ("The imports.", bodies.Imports)})
UNDO_IMPORT = _site("Takes an import of the last 30 days back", {204: ("It is gone.", None)}, parameters=IMPORTS)
EXPORT = _site(
    "Everything that was counted, as CSV or JSON lines, which can be imported again",
    {200: ("The export, streamed.", str)},
    media=("text/csv; charset=utf-8", "application/jsonl; charset=utf-8"),
    query={"format": Query("csv by default.", {"type": "string", "enum": ["csv", "jsonl"]})},
)
GIVE_HOST = _site(
    "Gives a host that several sites name to this one, for Busuanzi: for administrators",
    {204: ("It is so.", None)},
    parameters=SITE_PARAMETER | {"host": "A host name of the site."},
)
