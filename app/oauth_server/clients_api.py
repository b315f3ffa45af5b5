"""The API of the administration: clients. A secret is shown once; two are valid while it is changed."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from app.accounts.guards import admin_required, fresh_or_token
from app.accounts.models import User
from app.oauth_server import administration
from app.oauth_server.client_config import ClientFields, to_table
from app.oauth_server.lifespan import OAuthServerState
from app.oauth_server.models import Client
from app.web.body import json_object
from app.web.errors import BadRequest
from app.web.openapi import ApiRoute, Operation, ResponseModel
from app.web.responses import json_response

ApiRequest = Request[OAuthServerState]
BACK = "/admin/clients"
PAGE_SIZE = 50


class ClientBody(ClientFields):
    """A client to create."""

    id: str | None = None


class ShownClient(ClientFields):
    id: str
    source: str
    created: float


class NewClient(ShownClient):
    """`secret` is shown this once; null for a client without one."""

    secret: str | None


class ClientList(ResponseModel):
    clients: list[ShownClient]
    total: int


class NewSecret(ResponseModel):
    secret: str


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
    client, secret = await administration.create(request, admin, await json_object(request))
    return json_response(_json(client) | {"secret": secret}, 201)


@admin_required
async def show_client(request: ApiRequest, admin: User) -> Response:
    """`GET /api/clients/{id}`."""
    return json_response(_json(await administration.find(request)))


@admin_required
async def change_client(request: ApiRequest, admin: User) -> Response:
    """`PATCH /api/clients/{id}`: the members that are given."""
    await fresh_or_token(request, BACK)
    return json_response(_json(await administration.change(request, admin, await json_object(request))))


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


def _json(client: Client) -> dict[str, Any]:
    return {"id": client.id, **to_table(client), "source": client.source, "created": client.created}


ID = {"id": "The client's id."}
routes: list[BaseRoute] = [
    ApiRoute("GET", "/api/clients", list_clients, Operation(
        summary="The services that sign people in here", tag="clients", query={"page": "From 1, of 50 each."},
        responses={200: ("The clients.", ClientList)}, problems=[403], guarded=True,
    )),
    ApiRoute("POST", "/api/clients", create_client, Operation(
        summary="Create a client", tag="clients", body=ClientBody,
        responses={201: ("The client.", NewClient)}, problems=[409], guarded=True,
    )),
    ApiRoute("GET", "/api/clients/{id}", show_client, Operation(
        summary="A client", tag="clients", parameters=ID, responses={200: ("The client.", ShownClient)},
        problems=[403, 404], guarded=True,
    )),
    ApiRoute("PATCH", "/api/clients/{id}", change_client, Operation(
        summary="Change a client", tag="clients", parameters=ID, body=ClientFields,
        responses={200: ("The client.", ShownClient)}, problems=[404, 409], guarded=True,
    )),
    ApiRoute("POST", "/api/clients/{id}/secrets", add_secret, Operation(
        summary="A new secret; the last one stays valid beside it", tag="clients", parameters=ID,
        responses={201: ("The secret, shown this once.", NewSecret)}, problems=[404, 409], guarded=True,
    )),
    ApiRoute("DELETE", "/api/clients/{id}", remove_client, Operation(
        summary="Remove a client", tag="clients", parameters=ID,
        responses={204: ("Removed; its tokens are dead.", None)}, problems=[404, 409], guarded=True,
    )),
]  # fmt: skip
