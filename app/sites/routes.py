"""Every URL of sites."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.sites import api, badge_routes, openapi, people_api, stats_api
from app.sites.collect import Collect
from app.sites.lifespan import SitesState
from app.sites.pages import dashboard, manage
from app.sites.protocols import busuanzi, countapi, goatcounter
from app.sites.transfer import api as transfer
from app.web.openapi import ApiRoute
from app.web.policy import PolicyRoute, RoutePolicy

FROM_ANYWHERE = RoutePolicy(cross_site=True)
LARGE_BODY = RoutePolicy(max_body_bytes=2**40)
"""The importer has a limit of its own: `max_import_bytes`."""
SITE = "/api/sites/{id}"


def collect_routes(collect_path: str) -> list[BaseRoute]:
    """The routes to which pages of other sites report hits."""
    methods = ["GET", "HEAD", "POST", "OPTIONS"]
    return [PolicyRoute(f"/{collect_path}/{{hit:path}}", Collect(), methods=methods, policy=FROM_ANYWHERE)]


def heir_or(page: Route) -> Route:
    """`GET /api` is the API's manual; with the header of Busuanzi's heirs it is their endpoint."""

    async def answer(request: Request[SitesState]) -> Response:
        wanted = busuanzi.heir if "x-bsz-referer" in request.headers else page.endpoint
        response: Response = await wanted(request)
        return response

    return Route(page.path, answer, methods=["GET"])


protocol_routes: list[BaseRoute] = [
    PolicyRoute("/busuanzi", busuanzi.jsonp, methods=["GET"], policy=FROM_ANYWHERE),
    PolicyRoute("/busuanzi/api", busuanzi.heir, methods=["GET", "POST", "PUT", "OPTIONS"], policy=FROM_ANYWHERE),
    PolicyRoute("/api", busuanzi.heir, methods=["POST", "PUT", "OPTIONS"], policy=FROM_ANYWHERE),
    PolicyRoute("/js", busuanzi.heirs_script, methods=["GET"], policy=FROM_ANYWHERE),
    PolicyRoute("/busuanzi/2.3/busuanzi.pure.mini.js", busuanzi.script, methods=["GET"], policy=FROM_ANYWHERE),
    PolicyRoute(
        "/countapi/{what}/{names:path}", countapi.answer, methods=["GET", "POST", "OPTIONS"], policy=FROM_ANYWHERE
    ),
    PolicyRoute("/g/{site}/count", goatcounter.count, methods=["GET", "POST"], policy=FROM_ANYWHERE),
    PolicyRoute("/g/{site}/counter/{path:path}", goatcounter.counter, methods=["GET"], policy=FROM_ANYWHERE),
    PolicyRoute("/g/{site}/count.js", goatcounter.script, methods=["GET"], policy=FROM_ANYWHERE),
    PolicyRoute("/g/{site}/api/v0/count", goatcounter.api_count, methods=["POST"], policy=FROM_ANYWHERE),
]

routes: list[BaseRoute] = [
    *protocol_routes,
    ApiRoute("POST", "/api/sites", api.create_site, openapi.CREATE),
    ApiRoute("GET", "/api/sites", api.list_sites, openapi.LIST),
    ApiRoute("GET", "/api/admin/sites", api.list_all_sites, openapi.LIST_ALL),
    ApiRoute("GET", SITE, api.get_site, openapi.GET),
    ApiRoute("PATCH", SITE, api.change_site, openapi.CHANGE),
    ApiRoute("DELETE", SITE, api.remove_site, openapi.REMOVE),
    ApiRoute("GET", f"{SITE}/stats", stats_api.stats, openapi.GET_STATS),
    ApiRoute("GET", f"{SITE}/top/{{kind}}", stats_api.top, openapi.GET_TOP),
    ApiRoute("PUT", f"{SITE}/hosts/{{host}}", api.give_host, openapi.GIVE_HOST),
    ApiRoute("PUT", f"{SITE}/values", api.set_values, openapi.SET_VALUES),
    ApiRoute("POST", f"{SITE}/reset", api.reset_site, openapi.RESET),
    ApiRoute("POST", f"{SITE}/shares", api.create_share, openapi.CREATE_SHARE),
    ApiRoute("DELETE", f"{SITE}/shares/{{token}}", api.remove_share, openapi.REMOVE_SHARE),
    ApiRoute("PUT", f"{SITE}/owner", people_api.give_site, openapi.GIVE_SITE),
    ApiRoute("PUT", f"{SITE}/people/{{name}}", people_api.add_person, openapi.ADD_PERSON),
    ApiRoute("DELETE", f"{SITE}/people/{{name}}", people_api.remove_person, openapi.REMOVE_PERSON),
    ApiRoute("POST", f"{SITE}/imports", transfer.import_file, openapi.IMPORT, policy=LARGE_BODY),
    ApiRoute("GET", f"{SITE}/imports", transfer.list_imports, openapi.LIST_IMPORTS),
    ApiRoute("DELETE", f"{SITE}/imports/{{import}}", transfer.undo_import, openapi.UNDO_IMPORT),
    ApiRoute("GET", f"{SITE}/export", transfer.export, openapi.EXPORT),
    Route("/sites", dashboard.list_sites, methods=["GET"]),
    Route("/sites", manage.add, methods=["POST"]),
    Route("/sites/{id}", dashboard.show, methods=["GET"]),
    Route("/sites/{id}/settings", manage.settings, methods=["GET"]),
    Route("/sites/{id}/settings", manage.change, methods=["POST"]),
    Route("/sites/{id}/shares", manage.share, methods=["POST"]),
    Route("/sites/{id}/shares/withdraw", manage.ask_to_withdraw, methods=["GET"]),
    Route("/sites/{id}/shares/withdraw", manage.withdraw, methods=["POST"]),
    Route("/sites/{id}/people", manage.people, methods=["POST"]),
    Route("/sites/{id}/transfer", manage.transfer, methods=["GET"]),
    Route("/sites/{id}/imports/undo", manage.ask_to_undo, methods=["GET"]),
    Route("/sites/{id}/imports/undo", manage.undo_import, methods=["POST"]),
    Route("/sites/{id}/{action}", manage.ask_to_act, methods=["GET"]),
    Route("/sites/{id}/{action}", manage.act, methods=["POST"]),
    Route("/events/sites/{id}", dashboard.events),
    Route("/badge/{name}", badge_routes.show, methods=["GET"]),
]
