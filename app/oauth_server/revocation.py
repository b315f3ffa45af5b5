"""Revocation (RFC 7009)."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from app.oauth_server.endpoint import authorization_of, form_parameters, oauth_endpoint, open_routes
from app.oauth_server.lifespan import OAuthServerState
from app.oauth_server.parameters import required


@oauth_endpoint
async def revoke(request: Request[OAuthServerState]) -> Response:
    """`POST /oauth2/revoke`: 200 also for a token that is not good, or another client's, which stays as it is.

    Every refresh token of a sign-in ends all of it, also one that was used: the answer with the next may be lost.
    """
    provider = request.state["oauth_server"]
    parameters = await form_parameters(request)
    client = await provider.authentication.client(authorization_of(request), parameters)
    text = required(parameters, "token")
    family = await provider.issuing.refreshed_by(text)
    live = await provider.issuing.validate(text) if family is None else None
    if family is not None and family.client == client.id:
        await provider.store.end(family)
    elif live is not None and live.client.id == client.id:
        await provider.store.revoke_access(live.family)
    return Response(b"", 200, {"Cache-Control": "no-store"})


routes: list[BaseRoute] = open_routes("/oauth2/revoke", revoke, "POST")
