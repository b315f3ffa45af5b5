"""The API of the administration: clients. A secret is shown once; two are valid while it is changed."""

from dataclasses import replace
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from app.accounts.guards import admin_required, fresh_or_token
from app.accounts.models import User
from app.accounts.secret import digest, new_secret
from app.oauth_server.client_config import BadClient, client_of, to_table
from app.oauth_server.lifespan import OAuthServerState
from app.oauth_server.models import Client
from app.web.errors import BadRequest, Conflict, NotFound
from app.web.i18n import N_
from app.web.openapi import FLAG, NUMBER, TEXT, ApiRoute, Operation, array, nullable, obj
from app.web.responses import json_response

ApiRequest = Request[OAuthServerState]
BACK = "/account"
PAGE_SIZE = 50
TEXTS = array(TEXT)
CLIENT = obj(
    id=TEXT, name=TEXT, redirect_uris=TEXTS, scopes=TEXTS, public=FLAG, jwks=nullable({"type": "object"}),
    groups=nullable(TEXTS), first_party=FLAG, pkce=FLAG, device=FLAG, introspect=FLAG, id_token_alg=TEXT,
    access_token_format=TEXT, subject=TEXT, logout_uri=nullable(TEXT), post_logout_redirect_uris=TEXTS, source=TEXT,
    created=NUMBER,
)  # fmt: skip
WITH_SECRET = obj(**CLIENT["properties"], secret=nullable(TEXT))


@admin_required
async def list_clients(request: ApiRequest, admin: User) -> Response:
    """`GET /api/clients?page=`: those of the settings, on the first page, and the others."""
    number = request.query_params.get("page", "1")
    if not number.isascii() or not number.isdigit() or len(number) > 6 or number.strip("0") == "":
        raise BadRequest("page: must be a whole number from 1", field="page")
    provider = request.state["oauth_server"]
    found, total = await provider.store.client_page((int(number) - 1) * PAGE_SIZE, PAGE_SIZE)
    configured = [*provider.clients.configured.values()]
    shown = found if int(number) > 1 else [*configured, *found]
    return json_response({"clients": [_json(client) for client in shown], "total": total + len(configured)})


@admin_required
async def create_client(request: ApiRequest, admin: User) -> Response:
    """`POST /api/clients`."""
    await fresh_or_token(request, BACK)
    table = await _table(request)
    client_id = table.pop("id", None) or f"client-{new_secret()[:12].strip('-_')}"
    provider = request.state["oauth_server"]
    if isinstance(client_id, str) and await provider.clients.find(client_id) is not None:
        raise Conflict(N_("There is a client with this id already."))
    client = _checked(request, client_id, table, source="administration", created=provider.clock())
    secret = new_secret() if client.auth == "secret" else None
    client = replace(client, secrets=(digest(secret),) if secret is not None else ())
    await provider.store.save_client(client)
    return json_response(_json(client) | {"secret": secret}, 201)


@admin_required
async def show_client(request: ApiRequest, admin: User) -> Response:
    """`GET /api/clients/{id}`."""
    client = await request.state["oauth_server"].clients.find(request.path_params["id"])
    if client is None:
        raise NotFound
    return json_response(_json(client))


@admin_required
async def change_client(request: ApiRequest, admin: User) -> Response:
    """`PATCH /api/clients/{id}`: the members that are given."""
    await fresh_or_token(request, BACK)
    before = await _made_here(request)
    table = to_table(before) | await _table(request)
    after = _checked(request, before.id, table, source=before.source, created=before.created, secrets=before.secrets)
    await request.state["oauth_server"].store.save_client(after)
    return json_response(_json(after))


@admin_required
async def add_secret(request: ApiRequest, admin: User) -> Response:
    """`POST /api/clients/{id}/secrets`: a new secret, beside the last one, which works until the next change."""
    await fresh_or_token(request, BACK)
    client = await _made_here(request)
    if client.auth != "secret":
        raise Conflict(N_("This client has no secret."))
    secret = new_secret()
    await request.state["oauth_server"].store.save_client(
        replace(client, secrets=(digest(secret), *client.secrets[:1]))
    )
    return json_response({"secret": secret}, 201)


@admin_required
async def remove_client(request: ApiRequest, admin: User) -> Response:
    """`DELETE /api/clients/{id}`: its tokens are dead."""
    await fresh_or_token(request, BACK)
    client = await _made_here(request)
    await request.state["oauth_server"].store.remove_client(client.id)
    return Response(status_code=204)


async def _made_here(request: ApiRequest) -> Client:
    """The client that the path names. Raises NotFound, and Conflict for one of the settings."""
    client = await request.state["oauth_server"].clients.find(request.path_params["id"])
    if client is None:
        raise NotFound
    if client.source == "file":
        raise Conflict(N_("This client is in the settings: change it there."))
    return client


async def _table(request: ApiRequest) -> dict[str, Any]:
    """The body; `client_of` checks its members. Raises BadRequest."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadRequest("Content-Type: must be application/json", field="Content-Type")
    try:
        table = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        raise BadRequest("body: is not valid JSON", field="body") from None
    if not isinstance(table, dict):
        raise BadRequest("body: must be a JSON object", field="body")
    return table


def _checked(request: ApiRequest, client_id: object, table: dict[str, Any], **other: Any) -> Client:
    try:
        return client_of(str(client_id), table, any_http=not request.state["settings"].production, **other)
    except BadClient as bad:
        raise BadRequest(str(bad), field=bad.field) from None


def _json(client: Client) -> dict[str, Any]:
    return {"id": client.id, **to_table(client), "source": client.source, "created": client.created}


ID = {"id": "The client's id."}
BODY = {"type": "object", "additionalProperties": True}
routes: list[BaseRoute] = [
    ApiRoute("GET", "/api/clients", list_clients, Operation(
        summary="The services that sign people in here", tag="clients", query={"page": "From 1, of 50 each."},
        responses={200: ("The clients.", obj(clients=array(CLIENT), total=NUMBER))}, problems=[403], guarded=True,
    )),
    ApiRoute("POST", "/api/clients", create_client, Operation(
        summary="Create a client", tag="clients", body=BODY,
        responses={201: ("The client; its secret is shown this once.", WITH_SECRET)}, problems=[409], guarded=True,
    )),
    ApiRoute("GET", "/api/clients/{id}", show_client, Operation(
        summary="A client", tag="clients", parameters=ID, responses={200: ("The client.", CLIENT)},
        problems=[403, 404], guarded=True,
    )),
    ApiRoute("PATCH", "/api/clients/{id}", change_client, Operation(
        summary="Change a client", tag="clients", parameters=ID, body=BODY,
        responses={200: ("The client.", CLIENT)}, problems=[404, 409], guarded=True,
    )),
    ApiRoute("POST", "/api/clients/{id}/secrets", add_secret, Operation(
        summary="A new secret; the last one stays valid beside it", tag="clients", parameters=ID,
        responses={201: ("The secret, shown this once.", obj(secret=TEXT))}, problems=[404, 409], guarded=True,
    )),
    ApiRoute("DELETE", "/api/clients/{id}", remove_client, Operation(
        summary="Remove a client", tag="clients", parameters=ID,
        responses={204: ("Removed; its tokens are dead.", None)}, problems=[404, 409], guarded=True,
    )),
]  # fmt: skip
