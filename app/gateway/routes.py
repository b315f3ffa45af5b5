"""The routes of the gateway. Those under `/.tallygate/` are for protected hosts, whose proxies pass them on."""

from starlette.routing import BaseRoute, Route

from app.gateway.pages import admin, handoff, site
from app.gateway.verify import EnvoyExtAuthz, ForwardAuth, NginxAuthRequest, Refused
from app.web.policy import PolicyRoute, RoutePolicy

AUTH_CHECK = RoutePolicy(cross_site=True, any_host=True, security_headers=False, max_body_bytes=2**63)
"""For proxies, which pass on the headers of any client: any host, any origin, any length of a body."""
SITE = RoutePolicy(any_host=True)
ANY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

routes: list[BaseRoute] = [
    # for proxies: is this request allowed, and whose is it?
    PolicyRoute("/verify/auth-request", NginxAuthRequest(), policy=AUTH_CHECK, methods=ANY_METHOD),
    PolicyRoute("/verify/forward-auth", ForwardAuth(), policy=AUTH_CHECK, methods=ANY_METHOD),
    PolicyRoute("/verify/ext-authz/{path:path}", EnvoyExtAuthz(), policy=AUTH_CHECK),
    # at protected hosts: sign in and out, the page of a refused request, its files
    PolicyRoute("/.tallygate/start", handoff.start, policy=SITE, methods=["GET"], head=False),
    PolicyRoute("/.tallygate/finish", handoff.finish, policy=SITE, methods=["GET"], head=False),
    PolicyRoute("/.tallygate/sign-out", site.confirm, policy=SITE, methods=["GET"]),
    PolicyRoute("/.tallygate/sign-out", site.sign_out, policy=SITE, methods=["POST"]),
    PolicyRoute("/.tallygate/refused", Refused(), policy=AUTH_CHECK),
    PolicyRoute("/.tallygate/static/{path:path}", site.SiteStatic(), policy=SITE, methods=["GET"]),
    # at the portal: sign in for a protected host
    PolicyRoute("/gateway/authorize", handoff.authorize, methods=["GET"], head=False),
    # administration: the rules, and which of them decides about a request
    Route("/admin/gateway", admin.rules),
]
