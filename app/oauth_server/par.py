"""Pushed authorization requests (RFC 9126): the client sends the parameters directly, not through the browser."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from app.oauth_server.authorization import checked, redirect_uri_of
from app.oauth_server.endpoint import authorization_of, form_parameters, oauth_endpoint, open_routes
from app.oauth_server.errors import BadRedirect, OAuthError
from app.oauth_server.lifespan import OAuthServerState
from app.oauth_server.parameters import Parameters
from app.oauth_server.store import OAuthStore
from app.web.errors import BadRequest
from app.web.i18n import N_
from app.web.responses import json_response

URN = "urn:ietf:params:oauth:request_uri:"
LIFETIME = 90
GONE = N_("This sign-in has expired. Please start again at the service.")
CREDENTIALS = frozenset({"client_secret", "client_assertion", "client_assertion_type"})


@oauth_endpoint
async def push(request: Request[OAuthServerState]) -> Response:
    provider = request.state["oauth_server"]
    sent = await form_parameters(request)
    client = await provider.authentication.client(authorization_of(request), sent)
    if "request_uri" in sent:
        raise OAuthError("invalid_request", "request_uri cannot be pushed")  # RFC 9126, 2.1
    parameters = {name: value for name, value in sent.items() if name not in CREDENTIALS} | {"client_id": client.id}
    try:
        checked(client, redirect_uri_of(client, parameters), parameters)
    except BadRedirect:
        raise OAuthError("invalid_request", "redirect_uri is missing or not registered") from None
    secret = await provider.store.push(parameters, LIFETIME)
    return json_response({"request_uri": f"{URN}{secret}", "expires_in": LIFETIME}, 201)


async def pushed(store: OAuthStore, parameters: Parameters) -> dict[str, str] | None:
    """The parameters that a `request_uri` of ours stands for; None without one. Raises BadRequest."""
    uri = parameters.get("request_uri", "")
    if not uri.startswith(URN):
        return None
    found = await store.pushed(uri.removeprefix(URN))
    if found is None or found["client_id"] != parameters.get("client_id"):
        raise BadRequest(GONE, field="request_uri")
    return found


async def use_up(store: OAuthStore, request_uri: str) -> None:
    """A `request_uri` is good once. Raises BadRequest if another request has used it meanwhile."""
    if not await store.take_pushed(request_uri.removeprefix(URN)):
        raise BadRequest(GONE, field="request_uri")


routes: list[BaseRoute] = [*open_routes("/oauth2/par", push, "POST")]
