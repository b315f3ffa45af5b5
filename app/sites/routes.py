"""Every URL of sites."""

from collections.abc import Iterable, Mapping
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.sites import api, badge_routes, bodies, people_api, stats_api
from app.sites.collect import Collect
from app.sites.lifespan import SitesState
from app.sites.pages import dashboard, manage
from app.sites.protocols import busuanzi, countapi, goatcounter
from app.sites.protocols.cross_origin import CROSS_ORIGIN
from app.sites.site_settings import NewSite, SiteChanges
from app.sites.stats import INTERVALS
from app.sites.stats_api import KINDS, MAX_LIMIT
from app.sites.transfer import api as transfer
from app.sites.transfer.formats import READERS
from app.web.openapi import FILE, ApiRoute, Operation, Query
from app.web.policy import PolicyRoute, RoutePolicy

FROM_ANYWHERE = RoutePolicy(cross_site=True, error_headers=CROSS_ORIGIN)
LARGE_BODY = RoutePolicy(max_body_bytes=2**40)
"""The importer has a limit of its own: `max_import_bytes`."""
SITE = "/api/sites/{id}"


def collect_routes(collect_path: str) -> list[BaseRoute]:
    """The routes to which pages of other sites report hits."""
    methods = ["GET", "HEAD", "POST", "OPTIONS"]
    return [PolicyRoute(f"/{collect_path}/{{hit:path}}", Collect(), methods=methods, policy=FROM_ANYWHERE)]


def manual_or_busuanzi(page: Route) -> Route:
    """`GET /api` is the API's manual; with the header of Busuanzi's successors it is their endpoint."""

    async def answer(request: Request[SitesState]) -> Response:
        wanted = busuanzi.successor_api if "x-bsz-referer" in request.headers else page.endpoint
        response: Response = await wanted(request)
        return response

    return Route(page.path, answer, methods=["GET"])


def _one_of(text: str, words: Iterable[str]) -> Query:
    return Query(text, {"type": "string", "enum": list(words)})


protocol_routes: list[BaseRoute] = [
    PolicyRoute("/busuanzi", busuanzi.jsonp, methods=["GET"], policy=FROM_ANYWHERE),
    PolicyRoute(
        "/busuanzi/api", busuanzi.successor_api, methods=["GET", "POST", "PUT", "OPTIONS"], policy=FROM_ANYWHERE
    ),
    PolicyRoute("/api", busuanzi.successor_api, methods=["POST", "PUT", "OPTIONS"], policy=FROM_ANYWHERE),
    PolicyRoute("/js", busuanzi.successor_script, methods=["GET"], policy=FROM_ANYWHERE),
    PolicyRoute("/busuanzi/2.3/busuanzi.pure.mini.js", busuanzi.script, methods=["GET"], policy=FROM_ANYWHERE),
    PolicyRoute("/countapi/{what}", countapi.answer, methods=["GET", "POST", "OPTIONS"], policy=FROM_ANYWHERE),
    PolicyRoute(
        "/countapi/{what}/{names:path}", countapi.answer, methods=["GET", "POST", "OPTIONS"], policy=FROM_ANYWHERE
    ),
    PolicyRoute("/g/{site}/count", goatcounter.count, methods=["GET", "POST"], policy=FROM_ANYWHERE),
    PolicyRoute("/g/{site}/counter/{path:path}", goatcounter.counter, methods=["GET"], policy=FROM_ANYWHERE),
    PolicyRoute("/g/{site}/count.js", goatcounter.script, methods=["GET"], policy=FROM_ANYWHERE),
    PolicyRoute("/g/{site}/api/v0/count", goatcounter.api_count, methods=["POST"], policy=FROM_ANYWHERE),
]

DAY = "(19|2[0-9])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
RANGE: Mapping[str, str | Query] = {
    "from": Query(
        "The first day (YYYY-MM-DD), at most 3,700 days before the last, or `all`; by default the range has 30 days.",
        {"type": "string", "pattern": f"^({DAY}|all)?$"},
    ),
    "to": Query("The last day (YYYY-MM-DD); today by default.", {"type": "string", "pattern": f"^({DAY})?$"}),
    "share": "The token of a share, for a site that is not public.",
}
_site = partial(
    Operation,
    tag="sites",
    parameters={
        "id": "The site's id.",
        "token": "The share's token, or its id.",
        "name": "A user's name.",
        "kind": _one_of("The list.", KINDS),
        "import": "The import's id.",
        "host": "A host name of the site.",
    },
    guarded=True,
)
CREATE = _site(
    "Create a site: 60 an hour from an address", bodies.SiteDocument, status=201, body=NewSite, problems=[429]
)
LIST = _site("The user's sites, by name", bodies.Sites)
GET = _site("A site", bodies.SiteDocument)
CHANGE = _site("Change settings of a site", bodies.SiteDocument, body=SiteChanges, problems=[409])
REMOVE = _site("Remove a site with its counts")
RESET = _site("Remove all counts of a site")
CREATE_SHARE = _site(
    "Create a link for people without an account; it is shown once", bodies.Share, status=201, problems=[409]
)
REMOVE_SHARE = _site("Withdraw a share")
ADD_PERSON = _site("Let a user view or edit the site", body=bodies.PersonRight, problems=[409])
REMOVE_PERSON = _site("Remove a user's right")
GIVE_SITE = _site("Give the site to another user: for its owner and administrators", body=bodies.NewOwner)
LIST_ALL = _site(
    "Sites of all users, 500 at a time, oldest first: for administrators",
    bodies.OwnedSites,
    returns="`owner` is null where the user is removed.",
    query={"after": "The id of the last site of the page before."},
)
GET_STATS = _site(
    "Visits and visitors in a range of days",
    bodies.Stats,
    returns="The figures, and the visits of the range before it.",
    query={
        **RANGE,
        "interval": _one_of("By default `day`. `hour`: at most 31 days, and not of a page.", INTERVALS),
        "path": "Only this page; `left_out` is for the whole site.",
    },
    guarded=False,
)
GET_TOP = _site(
    "The most visited pages, or the most frequent names of a list",
    bodies.Top,
    returns="The rows, and the visits of all others.",
    query={
        **RANGE,
        "limit": Query("At most so many rows; 10 by default.", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}),
        "path": "Referrers of this page.",
        "referrer": "Pages it led to.",
    },
    guarded=False,
)
SET_VALUES = _site(
    "Add what was counted before: a page's first values, or the site's for an empty path; may be repeated",
    body=bodies.FirstValues,
    problems=[409],
)
IMPORT = _site(
    "Import a file, which is the body: an export of GoatCounter, Umami, Plausible or this service, plain or packed",
    bodies.NewImport,
    status=201,
    body=FILE,
    accepts="application/octet-stream",
    returns="The import; the same file again changes nothing.",
    other_responses={200: ("With `preview=1`: what would be added.", bodies.ImportPreview)},
    problems=[409],
    query={
        "format": _one_of("Detected by default.", ("", *READERS)),
        "preview": _one_of("1: imports nothing.", ("0", "1")),
    },
)
LIST_IMPORTS = _site("The imports", bodies.Imports)
UNDO_IMPORT = _site("Undo an import of the last 30 days")
EXPORT = _site(
    "Everything that was counted, as CSV or JSON lines, which can be imported again",
    str,
    media=("text/csv; charset=utf-8", "application/jsonl; charset=utf-8"),
    query={"format": _one_of("csv by default.", transfer.EXPORTS)},
)
GIVE_HOST = _site("Give a host that several sites name to this one, for Busuanzi: for administrators")

routes: list[BaseRoute] = [
    *protocol_routes,
    ApiRoute("POST", "/api/sites", api.create_site, CREATE),
    ApiRoute("GET", "/api/sites", api.list_sites, LIST),
    ApiRoute("GET", "/api/admin/sites", api.list_all_sites, LIST_ALL),
    ApiRoute("GET", SITE, api.get_site, GET),
    ApiRoute("PATCH", SITE, api.change_site, CHANGE),
    ApiRoute("DELETE", SITE, api.remove_site, REMOVE),
    ApiRoute("GET", f"{SITE}/stats", stats_api.stats, GET_STATS),
    ApiRoute("GET", f"{SITE}/top/{{kind}}", stats_api.top, GET_TOP),
    ApiRoute("PUT", f"{SITE}/hosts/{{host}}", api.give_host, GIVE_HOST),
    ApiRoute("PUT", f"{SITE}/values", api.set_values, SET_VALUES),
    ApiRoute("POST", f"{SITE}/reset", api.reset_site, RESET),
    ApiRoute("POST", f"{SITE}/shares", api.create_share, CREATE_SHARE),
    ApiRoute("DELETE", f"{SITE}/shares/{{token}}", api.remove_share, REMOVE_SHARE),
    ApiRoute("PUT", f"{SITE}/owner", people_api.give_site, GIVE_SITE),
    ApiRoute("PUT", f"{SITE}/people/{{name}}", people_api.add_person, ADD_PERSON),
    ApiRoute("DELETE", f"{SITE}/people/{{name}}", people_api.remove_person, REMOVE_PERSON),
    ApiRoute("POST", f"{SITE}/imports", transfer.import_file, IMPORT, policy=LARGE_BODY),
    ApiRoute("GET", f"{SITE}/imports", transfer.list_imports, LIST_IMPORTS),
    ApiRoute("DELETE", f"{SITE}/imports/{{import}}", transfer.undo_import, UNDO_IMPORT),
    ApiRoute("GET", f"{SITE}/export", transfer.export, EXPORT),
    Route("/sites", dashboard.list_sites, methods=["GET"]),
    Route("/sites", manage.create_site, methods=["POST"]),
    Route("/sites/{id}", dashboard.show_site, methods=["GET"]),
    Route("/sites/{id}/settings", manage.show_settings, methods=["GET"]),
    Route("/sites/{id}/settings", manage.change_settings, methods=["POST"]),
    Route("/sites/{id}/shares", manage.create_share, methods=["POST"]),
    Route("/sites/{id}/shares/withdraw", manage.ask_to_withdraw_share, methods=["GET"]),
    Route("/sites/{id}/shares/withdraw", manage.withdraw_share, methods=["POST"]),
    Route("/sites/{id}/people", manage.change_member, methods=["POST"]),
    Route("/sites/{id}/transfer", manage.show_transfer, methods=["GET"]),
    Route("/sites/{id}/imports/undo", manage.ask_to_undo_import, methods=["GET"]),
    Route("/sites/{id}/imports/undo", manage.undo_import, methods=["POST"]),
    Route("/sites/{id}/{action}", manage.ask_to_run_action, methods=["GET"]),
    Route("/sites/{id}/{action}", manage.run_action, methods=["POST"]),
    Route("/events/sites/{id}", dashboard.site_events),
    PolicyRoute("/badge/{name}", badge_routes.show, methods=["GET"], policy=FROM_ANYWHERE),
]
