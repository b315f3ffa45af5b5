"""The routes of all features, in order: the first that matches handles a request, so hot routes come first."""

from starlette.routing import BaseRoute, Mount, Route

from app.accounts import routes as accounts
from app.accounts.pages.api_manual import manual_routes
from app.config_service import routes as config_service
from app.counter import routes as counter
from app.gateway import routes as gateway
from app.hooks import routes as hooks
from app.oauth_client import routes as oauth
from app.oauth_server import routes as oauth_server
from app.observability import health, scrape
from app.observability.metrics import Metrics
from app.settings import Settings
from app.sites import routes as sites
from app.web import files, language
from app.web.static import Static
from app.wechat import routes as wechat


def all_routes(collect_path: str = "c") -> list[BaseRoute]:
    """The routes that do not depend on settings: pages, APIs, probes, files."""
    routes: list[BaseRoute] = [
        # counting: /, /api/visits, /events/visits
        *counter.routes,
        # hits of other sites: /c/{site}, /c/{site}.js
        *sites.collect_routes(collect_path),
        # sites: /api/sites ...
        *sites.routes,
        # accounts: /api/session, /sign-in, /account, /admin ...
        *accounts.routes,
        # events and webhooks: /api/events, /api/webhooks ...
        *hooks.routes,
        # configuration: /api/config ..., /events/config/{ns}
        *config_service.routes,
        # OAuth providers: /oauth/{provider}/start, /account/identities ...
        *oauth.routes,
        # signing in to other services: /oauth2/authorize, /oauth2/token, /account/services ...
        *oauth_server.routes,
        # WeChat: /api/wechat, /wechat/{account}/...
        *wechat.routes,
        # forward-auth: /verify/..., /.tallygate/..., /gateway/authorize
        *gateway.routes,
        # probes: /live, /ready
        *health.routes,
        # the language switch: POST /language
        *language.routes,
        # /robots.txt, /favicon.ico, /logo
        *files.routes,
        # stylesheets, scripts, pictures
        Mount("/static", Static()),
    ]
    # the API's manual: /api/openapi.json, /api
    document, page = manual_routes(routes)
    return [*routes, document, sites.manual_or_busuanzi(page)]


def with_metrics(routes: list[BaseRoute], metrics: Metrics, settings: Settings) -> list[BaseRoute]:
    """The routes and, if a token is set, `/metrics`."""
    return [*routes, scrape.public_route(metrics, settings)]


def templates_of(routes: list[BaseRoute]) -> list[str]:
    """The path templates, such as `/api/visits`: the values of the metrics' label `route`."""
    return [route.path for route in routes if isinstance(route, (Route, Mount))]
