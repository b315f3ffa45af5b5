"""The routes of the OpenID provider."""

from starlette.routing import BaseRoute

from app.oauth_server import (
    authorize,
    clients_api,
    device,
    discovery,
    grants,
    introspection,
    logout,
    par,
    registration,
    revocation,
    token_endpoint,
    userinfo,
)
from app.oauth_server.pages import clients

routes: list[BaseRoute] = [
    # for programs: /oauth2/userinfo, /oauth2/introspect, /oauth2/revoke, /oauth2/jwks.json, /.well-known/...
    *userinfo.routes,
    *introspection.routes,
    *discovery.routes,
    *revocation.routes,
    # /oauth2/token
    *token_endpoint.routes,
    # /oauth2/par, /oauth2/device_authorization and its page /device, /oauth2/register
    *par.routes,
    *device.routes,
    *registration.routes,
    # for browsers: /oauth2/authorize, /oauth2/end-session
    *authorize.routes,
    *logout.routes,
    # the user's services: /account/services, /api/account/grants
    *grants.routes,
    # administration: /api/clients, /admin/clients
    *clients_api.routes,
    *clients.routes,
]
