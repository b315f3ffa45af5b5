"""The base of endpoints for programs: JSON, OAuth errors, CORS without credentials."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from app.oauth_server.errors import OAuthError
from app.oauth_server.lifespan import OAuthServerState
from app.oauth_server.parameters import strict
from app.store.client import StoreUnavailable
from app.web.errors import NotFound
from app.web.headers import content_type, headers_of
from app.web.i18n import N_
from app.web.policy import PolicyRoute, RoutePolicy
from app.web.responses import json_response

Handler = Callable[[Request[OAuthServerState]], Awaitable[Response]]
FORM = "application/x-www-form-urlencoded"
RETRY_AFTER = "2"
OTHER_SITES = RoutePolicy(cross_site=True)
"""For endpoints that use no cookies, or ask for confirmation."""
BROWSERS = RoutePolicy(cross_site=True, in_popup=True)
CORS = {"Access-Control-Allow-Origin": "*"}
PREFLIGHT = CORS | {
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "86400",
}


def issuer_of(request: Request[OAuthServerState]) -> str:
    """Raises NotFound where the provider is off."""
    issuer = request.state["oauth_server"].issuer
    if issuer is None:
        raise NotFound(N_("Signing in to other services needs the setting public_url."))
    return issuer


def oauth_endpoint(handler: Handler) -> Handler:
    """Turns errors into the JSON of RFC 6749, 5.2; 503 with Retry-After while Redis is away."""

    @wraps(handler)
    async def guarded(request: Request[OAuthServerState]) -> Response:
        issuer_of(request)
        try:
            response = await handler(request)
        except OAuthError as error:
            response = json_response({"error": error.code, "error_description": error.description}, error.status)
            if error.status == 401:
                response.headers["WWW-Authenticate"] = f'{error.challenge or "Basic"} realm="tallygate"'
        except StoreUnavailable:
            response = json_response({"error": "temporarily_unavailable"}, 503)
            response.headers["Retry-After"] = RETRY_AFTER
        response.headers.update(CORS)
        response.headers["Pragma"] = "no-cache"
        return response

    return guarded


async def form_parameters(request: Request[Any]) -> dict[str, str]:
    """The parameters of the body; those of the query are ignored: secrets do not belong there. Raises OAuthError."""
    if content_type(request) != FORM:
        raise OAuthError("invalid_request", f"Content-Type must be {FORM}")
    return strict(await request.body())


def authorization_of(request: Request[Any]) -> bytes | None:
    return headers_of(request.scope).get(b"authorization")


def open_routes(path: str, handler: Handler, *methods: str) -> list[BaseRoute]:
    """The routes of an endpoint that pages of other origins may call, and of its preflight."""
    return [
        PolicyRoute(path, handler, methods=list(methods), policy=OTHER_SITES),
        PolicyRoute(path, _preflight, methods=["OPTIONS"], policy=OTHER_SITES),
    ]


async def _preflight(_: Request[OAuthServerState]) -> Response:
    return Response(status_code=204, headers=PREFLIGHT)
