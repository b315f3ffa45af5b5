"""Dynamic client registration (RFC 7591, 7592) with an initial access token from an administrator."""

import hmac
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from app.accounts.guards import admin_required, fresh_or_token
from app.accounts.helpers import audit
from app.accounts.models import User
from app.accounts.secret import digest, looks_like_secret, new_secret
from app.audit.log import Event
from app.oauth_server.client_config import BadClient, client_of
from app.oauth_server.client_metadata import SECRET_METHODS, THEIRS, metadata_of, table_of
from app.oauth_server.client_store import REGISTRATION_LIFETIME
from app.oauth_server.clients_api import BACK
from app.oauth_server.endpoint import bearer_of, issuer_of, oauth_endpoint, open_routes
from app.oauth_server.errors import InvalidToken, OAuthError
from app.oauth_server.lifespan import OAuthServerState
from app.oauth_server.models import Client
from app.web.body import json_object
from app.web.errors import BadRequest
from app.web.openapi import ApiRoute, Operation, ResponseModel
from app.web.responses import json_response

RegistrationRequest = Request[OAuthServerState]
PATH = "/oauth2/register"
ADMINISTRATORS = ("groups", "first_party", "pkce", "device", "introspect", "access_token_format")
"""Fields that no metadata changes: administrators set them."""


class RegistrationToken(ResponseModel):
    """`expires_in` is in seconds."""

    token: str
    expires_in: int


@admin_required
async def create_registration_token(request: RegistrationRequest, admin: User) -> Response:
    """`POST /api/registration-tokens`: clients register with it for a week."""
    await fresh_or_token(request, BACK)
    return json_response({"token": await new_token(request, admin), "expires_in": REGISTRATION_LIFETIME}, 201)


async def new_token(request: RegistrationRequest, admin: User) -> str:
    token = new_secret()
    await audit(request, Event.REGISTRATION_TOKEN_CREATED, user="", by=admin)
    await request.state["oauth_server"].clients.store.save_registration_token(token, admin.id)
    return token


@oauth_endpoint
async def register(request: RegistrationRequest) -> Response:
    store, token = request.state["oauth_server"].clients.store, bearer_of(request)
    maker = await store.maker_of_registration_token(token) if looks_like_secret(token) else None
    admin = await request.state["current_user"].by_id(maker) if maker is not None else None
    if admin is None or not admin.is_admin:
        raise _refused()
    metadata = await _metadata(request)
    client = _client(request, metadata, f"dyn-{new_secret()[:16].replace('_', '-').strip('-')}")
    secret, management = new_secret() if client.auth == "secret" else None, new_secret()
    client = replace(
        client,
        secrets=(digest(secret),) if secret is not None else (),
        registration_token=digest(management),
        created=request.state["oauth_server"].clock(),
    )
    await audit(request, Event.CLIENT_CREATED, user="", detail=f"{client.id} (registered)")
    await store.create(client)
    return _json(request, client, management, secret, status=201)


@oauth_endpoint
async def read(request: RegistrationRequest) -> Response:
    return _json(request, await _registered(request), bearer_of(request))


@oauth_endpoint
async def change(request: RegistrationRequest) -> Response:
    """`PUT /oauth2/register/{id}`: omitted members take their defaults (RFC 7592, 2.2)."""
    before, metadata = await _registered(request), await _metadata(request)
    if metadata.get("client_id") != before.id:
        raise OAuthError("invalid_client_metadata", "client_id: must be the one of the address")
    if "client_secret" in metadata and digest(str(metadata["client_secret"])) not in before.secrets:
        raise OAuthError("invalid_client_metadata", "client_secret: must be the one that was issued")
    secret = new_secret()

    def changed(now: Client) -> Client:
        after = _client(request, metadata, now.id, now.scopes)
        secrets = (now.secrets or (digest(secret),)) if after.auth == "secret" else ()
        theirs = {name: getattr(now, name) for name in ADMINISTRATORS}
        after = replace(after, registration_token=now.registration_token, created=now.created, secrets=secrets)
        return replace(after, **theirs)

    changed(before)  # a refused change has no audit entry
    await audit(request, Event.CLIENT_CHANGED, user="", detail=f"{before.id} (registered)")
    after = await request.state["oauth_server"].clients.store.change(before.id, changed)
    if after is None:
        raise _refused()
    return _json(request, after, bearer_of(request), secret if digest(secret) in after.secrets else None)


@oauth_endpoint
async def remove(request: RegistrationRequest) -> Response:
    client = await _registered(request)
    await audit(request, Event.CLIENT_REMOVED, user="", detail=f"{client.id} (registered)")
    await request.state["oauth_server"].clients.store.remove(client.id)
    return Response(status_code=204, headers={"Cache-Control": "no-store"})


async def _registered(request: RegistrationRequest) -> Client:
    """The client of the path, if the token is its own. Raises OAuthError."""
    client = await request.state["oauth_server"].clients.find(request.path_params["id"])
    expected = client.registration_token if client is not None else None
    if client is None or expected is None or not hmac.compare_digest(digest(bearer_of(request)), expected):
        raise _refused()
    return client


async def _metadata(request: RegistrationRequest) -> dict[str, Any]:
    """The members of the body; null is the same as an omitted one. Raises OAuthError."""
    try:
        sent = await json_object(request)
    except BadRequest as bad:
        raise OAuthError("invalid_client_metadata", str(bad)) from None
    return {name: value for name, value in sent.items() if value is not None}


def _client(
    request: RegistrationRequest, metadata: dict[str, Any], client_id: str, granted: tuple[str, ...] = ()
) -> Client:
    """The client of the metadata; `granted` are scopes that it has already. Raises OAuthError."""
    any_http = not request.state["settings"].production
    try:
        client = client_of(client_id, table_of(metadata, granted), any_http=any_http, source="registration")
    except BadClient as bad:
        code = "invalid_redirect_uri" if bad.field == "redirect_uris" else "invalid_client_metadata"
        raise OAuthError(code, f"{THEIRS.get(bad.field, bad.field)}: {bad.reason}") from None
    method = metadata.get("token_endpoint_auth_method")
    return replace(client, secret_method=method) if method in SECRET_METHODS else client


def _json(
    request: RegistrationRequest, client: Client, management: str, secret: str | None = None, status: int = 200
) -> Response:
    answer = metadata_of(client) | {
        "registration_access_token": management,
        "registration_client_uri": f"{issuer_of(request)}{PATH}/{client.id}",
    }
    if secret is not None:
        answer |= {"client_secret": secret, "client_secret_expires_at": 0}
    return json_response(answer, status)


def _refused() -> OAuthError:
    return InvalidToken("the token is wrong, expired or of another client")


CREATE_TOKEN = Operation(
    "Create a token with which clients register for a week; it is shown once",
    RegistrationToken,
    status=201,
    tag="clients",
    guarded=True,
)
routes: list[BaseRoute] = [
    *open_routes(PATH, register, "POST"),
    *open_routes(f"{PATH}/{{id}}", read, "GET"),
    *open_routes(f"{PATH}/{{id}}", change, "PUT")[:1],
    *open_routes(f"{PATH}/{{id}}", remove, "DELETE")[:1],
    ApiRoute(
        "POST", "/api/registration-tokens", create_registration_token, CREATE_TOKEN, name="create_registration_token"
    ),
]
