"""Introspection (RFC 7662). A repeated request is answered from the cache."""

from typing import Any, cast

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from app.oauth_server.endpoint import authorization_of, form_parameters, oauth_endpoint, open_routes
from app.oauth_server.errors import InvalidClient
from app.oauth_server.lifespan import OAuthServerState
from app.oauth_server.parameters import required
from app.oauth_server.response_cache import MAX_KEY_BYTES
from app.oauth_server.userinfo import HEADERS
from app.server.protocol import BODY
from app.web.fast_path import FastEndpoint, FastResponse, respond
from app.web.headers import headers_of
from app.web.responses import json_response

INACTIVE = {"active": False}


class Introspection(FastEndpoint):
    max_fast_body = MAX_KEY_BYTES

    def try_fast(self, scope: Scope) -> FastResponse | None:
        body = scope.get(BODY)
        return None if body is None else self._cached(scope, body)

    def _cached(self, scope: Scope, body: bytes) -> FastResponse | None:
        if len(headers_of(scope)) != len(scope["headers"]):  # more than one Authorization header, perhaps
            return None
        responses = cast(OAuthServerState, scope["state"])["oauth_server"].response_cache
        found = responses.find(_cache_key(scope, body))
        return None if found is None else (HEADERS, found)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request: Request[OAuthServerState] = Request(scope, receive)
        kept = self._cached(scope, await request.body())
        if kept is not None:
            await respond(kept, send)
        else:
            await (await introspect(request))(scope, receive, send)


@oauth_endpoint
async def introspect(request: Request[OAuthServerState]) -> Response:
    """Only a client with `introspect = true` may introspect tokens of other clients."""
    provider = request.state["oauth_server"]
    parameters = await form_parameters(request)
    caller = await provider.authentication.client(authorization_of(request), parameters)
    if caller.public:
        raise InvalidClient("a public client cannot ask about tokens")
    live = await provider.issuing.validate(required(parameters, "token"))
    if live is None or (live.client.id != caller.id and not caller.introspect):
        return json_response(INACTIVE)
    answer: dict[str, Any] = {
        "active": True,
        "iss": provider.issuer,
        "client_id": live.client.id,
        "aud": live.client.id,
        "sub": await provider.issuing.subject(live.user.id, live.client),
        "scope": " ".join(live.scopes),
        "iat": live.issued,
        "token_type": "Bearer" if live.expires is not None else "refresh_token",
    }
    answer |= {"exp": live.expires} if live.expires is not None else {}
    answer |= {"username": live.user.name} if "profile" in live.scopes else {}
    if caller.auth == "secret":  # an assertion is accepted once
        provider.response_cache.add(_cache_key(request.scope, await request.body()), live, orjson.dumps(answer), caller)
    return json_response(answer)


def _cache_key(scope: Scope, body: bytes) -> bytes:
    """The parts of the request that the response depends on: credentials and body."""
    headers = headers_of(scope)
    return b"\n".join((headers.get(b"authorization", b""), headers.get(b"content-type", b""), body))


endpoint: Any = Introspection()
routes: list[BaseRoute] = open_routes("/oauth2/introspect", endpoint, "POST")
