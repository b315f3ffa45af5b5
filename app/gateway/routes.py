"""The routes of the gateway. Those under `/.tallygate/` are for protected hosts, whose proxies pass them on."""

from starlette.routing import BaseRoute, Route

from app.gateway.pages import admin, handoff, site
from app.gateway.verify import EnvoyExtAuthz, ForwardAuth, NginxAuthRequest, Refused
from app.web.policy import PolicyRoute, RoutePolicy

QUESTION = RoutePolicy(cross_site=True, any_host=True, security_headers=False, max_body_bytes=2**63)
"""A proxy asks about any request, and passes its headers on: whatever host, site and body they name."""
SITE = RoutePolicy(any_host=True)
ANY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

routes: list[BaseRoute] = [
    # proxies ask: may this request pass, and who is it?
    PolicyRoute("/verify/auth-request", NginxAuthRequest(), policy=QUESTION, methods=ANY_METHOD),
    PolicyRoute("/verify/forward-auth", ForwardAuth(), policy=QUESTION, methods=ANY_METHOD),
    PolicyRoute("/verify/ext-authz/{path:path}", EnvoyExtAuthz(), policy=QUESTION),
    # at protected hosts: sign in and out, the page of a refused request, its files
    PolicyRoute("/.tallygate/start", handoff.start, policy=SITE),
    PolicyRoute("/.tallygate/finish", handoff.finish, policy=SITE),
    PolicyRoute("/.tallygate/sign-out", site.confirm, policy=SITE, methods=["GET"]),
    PolicyRoute("/.tallygate/sign-out", site.sign_out, policy=SITE, methods=["POST"]),
    PolicyRoute("/.tallygate/refused", Refused(), policy=QUESTION),
    PolicyRoute("/.tallygate/static/{path:path}", site.SiteStatic(), policy=SITE, methods=["GET"]),
    # at the portal: the browser of a protected host comes and goes
    Route("/gateway/authorize", handoff.authorize),
    # administration: the rules, and which of them decides about a request
    Route("/admin/gateway", admin.rules),
]
