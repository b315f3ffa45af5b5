"""The API of the administration: clients. A secret is shown once; two are valid while it is changed."""

from functools import partial
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
from app.web.openapi import ApiRoute, Operation, ResponseModel
from app.web.query import query_number
from app.web.responses import json_response

ApiRequest = Request[OAuthServerState]
BACK = "/admin/clients"
PAGE_SIZE, MAX_PAGE = 50, 999_999


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
    number, clients = query_number(request, "page", most=MAX_PAGE) or 1, request.state["oauth_server"].clients
    found, total = await clients.store.page((number - 1) * PAGE_SIZE, PAGE_SIZE)
    configured = list(clients.configured.values())
    last = max(1, -(-total // PAGE_SIZE))
    return [*(configured if number == 1 else ()), *found], total + len(configured), number, last


@admin_required
async def create_client(request: ApiRequest, admin: User) -> Response:
    await fresh_or_token(request, BACK)
    client, secret = await administration.create(request, admin, await json_object(request))
    return json_response(_json(client) | {"secret": secret}, 201)


@admin_required
async def show_client(request: ApiRequest, admin: User) -> Response:
    return json_response(_json(await administration.find(request)))


@admin_required
async def change_client(request: ApiRequest, admin: User) -> Response:
    """`PATCH /api/clients/{id}`: the members that are given."""
    await fresh_or_token(request, BACK)
    return json_response(_json(await administration.change(request, admin, await json_object(request))))


@admin_required
async def add_secret(request: ApiRequest, admin: User) -> Response:
    """`POST /api/clients/{id}/secrets`: adds a secret. The previous one stays valid until the next change."""
    await fresh_or_token(request, BACK)
    return json_response({"secret": await administration.add_secret(request, admin)}, 201)


@admin_required
async def remove_client(request: ApiRequest, admin: User) -> Response:
    """`DELETE /api/clients/{id}`: revokes its tokens."""
    await fresh_or_token(request, BACK)
    await administration.remove(request, admin)
    return Response(status_code=204)


def _json(client: Client) -> dict[str, Any]:
    return {"id": client.id, **to_table(client), "source": client.source, "created": client.created}


_clients = partial(Operation, tag="clients", parameters={"id": "The client's id."}, guarded=True)
LIST = _clients("The services that sign people in here", ClientList, query={"page": "From 1, of 50 each."})
CREATE = _clients("Create a client", NewClient, status=201, body=ClientBody, problems=[409])
SHOW = _clients("A client", ShownClient)
CHANGE = _clients("Change a client", ShownClient, body=ClientFields, problems=[409])
ADD_SECRET = _clients(
    "A new secret, which is shown once; the last one stays valid beside it", NewSecret, status=201, problems=[409]
)
REMOVE = _clients("Remove a client: its tokens are dead", problems=[409])
routes: list[BaseRoute] = [
    ApiRoute("GET", "/api/clients", list_clients, LIST),
    ApiRoute("POST", "/api/clients", create_client, CREATE),
    ApiRoute("GET", "/api/clients/{id}", show_client, SHOW),
    ApiRoute("PATCH", "/api/clients/{id}", change_client, CHANGE),
    ApiRoute("POST", "/api/clients/{id}/secrets", add_secret, ADD_SECRET),
    ApiRoute("DELETE", "/api/clients/{id}", remove_client, REMOVE),
]
