"""The API of the administration: clients. A secret is shown once; two are valid while it is changed."""

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from app.accounts.guards import admin_required, fresh_or_token
from app.accounts.models import User
from app.oauth_server import administration
from app.oauth_server.client_config import to_table
from app.oauth_server.lifespan import OAuthServerState
from app.oauth_server.models import Client
from app.web.errors import BadRequest
from app.web.openapi import FLAG, NUMBER, TEXT, ApiRoute, Operation, array, nullable, obj
from app.web.responses import json_response

ApiRequest = Request[OAuthServerState]
BACK = "/admin/clients"
PAGE_SIZE = 50
TEXTS = array(TEXT)
CLIENT = obj(
    id=TEXT, name=TEXT, redirect_uris=TEXTS, scopes=TEXTS, public=FLAG, jwks=nullable({"type": "object"}),
    groups=nullable(TEXTS), first_party=FLAG, pkce=FLAG, device=FLAG, introspect=FLAG, disabled=FLAG, id_token_alg=TEXT,
    access_token_format=TEXT, subject=TEXT, logout_uri=nullable(TEXT), post_logout_redirect_uris=TEXTS, source=TEXT,
    created=NUMBER,
)  # fmt: skip
WITH_SECRET = obj(**CLIENT["properties"], secret=nullable(TEXT))


@admin_required
async def list_clients(request: ApiRequest, admin: User) -> Response:
    """`GET /api/clients?page=`: those of the settings, on the first page, and the others."""
    clients, total, _, _ = await page_of_clients(request)
    return json_response({"clients": [_json(client) for client in clients], "total": total})


async def page_of_clients(request: ApiRequest) -> tuple[list[Client], int, int, int]:
    """(the clients of the page that the query names, how many there are, the page's number, the last page's).

    Raises BadRequest.
    """
    text = request.query_params.get("page", "1")
    if not text.isascii() or not text.isdigit() or len(text) > 6 or text.strip("0") == "":
        raise BadRequest("page: must be a whole number from 1", field="page")
    number, clients = int(text), request.state["oauth_server"].clients
    found, total = await clients.store.page((number - 1) * PAGE_SIZE, PAGE_SIZE)
    configured = list(clients.configured.values())
    last = max(1, -(-total // PAGE_SIZE))
    return [*(configured if number == 1 else ()), *found], total + len(configured), number, last


@admin_required
async def create_client(request: ApiRequest, admin: User) -> Response:
    """`POST /api/clients`."""
    await fresh_or_token(request, BACK)
    client, secret = await administration.create(request, admin, await _table(request))
    return json_response(_json(client) | {"secret": secret}, 201)


@admin_required
async def show_client(request: ApiRequest, admin: User) -> Response:
    """`GET /api/clients/{id}`."""
    return json_response(_json(await administration.find(request)))


@admin_required
async def change_client(request: ApiRequest, admin: User) -> Response:
    """`PATCH /api/clients/{id}`: the members that are given."""
    await fresh_or_token(request, BACK)
    return json_response(_json(await administration.change(request, admin, await _table(request))))


@admin_required
async def add_secret(request: ApiRequest, admin: User) -> Response:
    """`POST /api/clients/{id}/secrets`: a new secret, beside the last one, which works until the next change."""
    await fresh_or_token(request, BACK)
    return json_response({"secret": await administration.add_secret(request, admin)}, 201)


@admin_required
async def remove_client(request: ApiRequest, admin: User) -> Response:
    """`DELETE /api/clients/{id}`: its tokens are dead."""
    await fresh_or_token(request, BACK)
    await administration.remove(request, admin)
    return Response(status_code=204)


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
