"""Userinfo. A repeated request is answered from the cache."""

from typing import Any, cast

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, request_response
from starlette.types import Receive, Scope, Send

from app.oauth_server.endpoint import (
    FORM,
    OTHER_SITES,
    authorization_of,
    bearer_of,
    form_parameters,
    oauth_endpoint,
    open_routes,
)
from app.oauth_server.errors import InvalidToken, OAuthError
from app.oauth_server.lifespan import OAuthServerState
from app.web.fast_path import FastEndpoint, FastResponse, StaticHeaders
from app.web.headers import content_type, headers_of
from app.web.policy import PolicyRoute
from app.web.responses import json_response

PATH = "/oauth2/userinfo"
HEADERS = StaticHeaders(
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"vary", b"Cookie, Authorization, Accept, Accept-Language"),
    (b"access-control-allow-origin", b"*"),
    (b"pragma", b"no-cache"),
)


class UserInfo(FastEndpoint):
    def try_fast(self, scope: Scope) -> FastResponse | None:
        state = cast(OAuthServerState, scope["state"])
        headers = headers_of(scope)
        if len(headers) != len(scope["headers"]):  # more than one Authorization header, perhaps
            return None
        body = state["oauth_server"].response_cache.find(headers.get(b"authorization", b""))
        return None if body is None else (HEADERS, body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.try_fast(scope) is None:
            await request_response(cast(Any, userinfo))(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


@oauth_endpoint
async def userinfo(request: Request[OAuthServerState]) -> Response:
    """`GET` or `POST /oauth2/userinfo` with an access token, in the header or (POST) in the form."""
    provider = request.state["oauth_server"]
    live = await provider.issuing.validate(await _access_token(request))
    if live is None or live.expires is None:
        raise InvalidToken("the access token is wrong, expired or revoked")
    if "openid" not in live.scopes:
        raise InvalidToken("the access token lacks the scope openid", "insufficient_scope", 403)
    claims = await provider.issuing.claims(live.user, live.client, live.scopes)
    if request.method == "GET":
        provider.response_cache.add(authorization_of(request) or b"", live, orjson.dumps(claims))
    return json_response(claims)


async def _access_token(request: Request[OAuthServerState]) -> str:
    """The access token (RFC 6750); not from the query, which is logged. Raises OAuthError, NoToken."""
    form = request.method == "POST" and content_type(request) == FORM
    sent = (await form_parameters(request)).get("access_token") if form else None
    if sent is None:
        return bearer_of(request)
    if authorization_of(request) is not None:
        raise OAuthError("invalid_request", "send the access token in one way only")
    return sent


endpoint: Any = UserInfo()
routes: list[BaseRoute] = [
    PolicyRoute(PATH, endpoint, methods=["GET"], policy=OTHER_SITES),
    *open_routes(PATH, userinfo, "POST"),
]
