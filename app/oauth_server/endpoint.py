"""The base of endpoints for programs: JSON, OAuth errors, CORS without credentials."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from app.oauth_server.errors import BEARER, NoToken, OAuthError
from app.oauth_server.lifespan import OAuthServerState
from app.oauth_server.parameters import strict
from app.store.client import StoreUnavailable
from app.web.errors import BadRequest, NotFound
from app.web.headers import content_type, headers_of
from app.web.i18n import N_
from app.web.policy import PolicyRoute, RoutePolicy
from app.web.responses import json_response

Handler = Callable[[Request[OAuthServerState]], Awaitable[Response]]
FORM = "application/x-www-form-urlencoded"
RETRY_AFTER = "2"
MAX_QUERY_LENGTH = 12_000
"""Bytes of the form that becomes a query."""
OTHER_SITES = RoutePolicy(cross_site=True)
"""For endpoints that use no cookies, or ask for confirmation."""
BROWSERS = RoutePolicy(cross_site=True, in_popup=True)
ANY_ORIGIN = (b"access-control-allow-origin", b"*")
NO_CACHE = (b"pragma", b"no-cache")
"""Beside `Cache-Control: no-store` (RFC 6749, 5.1)."""
PREFLIGHT = {
    "Access-Control-Allow-Origin": "*",
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
            if error.challenge is not None:
                response.headers["WWW-Authenticate"] = error.challenge
        except NoToken:
            response = Response(status_code=401, headers={"WWW-Authenticate": BEARER, "Cache-Control": "no-store"})
        except StoreUnavailable:
            response = json_response({"error": "temporarily_unavailable"}, 503)
            response.headers["Retry-After"] = RETRY_AFTER
        response.raw_headers.append(ANY_ORIGIN)
        if response.headers.get("cache-control") == "no-store":
            response.raw_headers.append(NO_CACHE)
        return response

    return guarded


async def form_parameters(request: Request[Any]) -> dict[str, str]:
    """The parameters of the body; those of the query are ignored: secrets do not belong there. Raises OAuthError."""
    if content_type(request) != FORM:
        raise OAuthError("invalid_request", f"Content-Type must be {FORM}")
    return strict(await request.body())


async def form_as_query(request: Request[Any]) -> Response:
    """Redirects the POST of a browser to GET: browsers send no SameSite cookie with the form of another site."""
    body = await request.body()
    if (body and content_type(request) != FORM) or len(body) > MAX_QUERY_LENGTH:
        raise BadRequest(f"body: must be {FORM}, of at most {MAX_QUERY_LENGTH} bytes", field="body")
    query = quote(body, safe="%&=+")
    return RedirectResponse(f"{request.url.path}?{query}", 303, {"Cache-Control": "no-store"})


def authorization_of(request: Request[Any]) -> bytes | None:
    """The Authorization header. Raises OAuthError for more than one."""
    if sum(name == b"authorization" for name, _ in request.scope["headers"]) > 1:
        raise OAuthError("invalid_request", "more than one Authorization header")
    return headers_of(request.scope).get(b"authorization")


def bearer_of(request: Request[Any]) -> str:
    """The bearer token of the Authorization header. Raises OAuthError; NoToken also for another scheme."""
    scheme, _, token = (authorization_of(request) or b"").decode("latin-1").partition(" ")
    if scheme.lower() != "bearer":
        raise NoToken
    return token.strip()


def open_routes(path: str, handler: Handler, *methods: str) -> list[BaseRoute]:
    """The routes of an endpoint that pages of other origins may call, and of its preflight."""
    return [
        PolicyRoute(path, handler, methods=list(methods), policy=OTHER_SITES),
        PolicyRoute(path, _preflight, methods=["OPTIONS"], policy=OTHER_SITES),
    ]


async def _preflight(_: Request[OAuthServerState]) -> Response:
    return Response(status_code=204, headers=PREFLIGHT)
