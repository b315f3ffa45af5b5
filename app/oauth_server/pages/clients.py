"""The pages of clients for administrators."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.accounts.asking import Question, ask
from app.accounts.guards import admin_required
from app.accounts.helpers import flash_message, page, redirect_with_message, see_other
from app.accounts.models import User
from app.accounts.shown_once import redirect_with_secret, shown_secret
from app.accounts.sign_in.reauthentication import confirm
from app.oauth_server import administration
from app.oauth_server.clients_api import page_of_clients
from app.oauth_server.lifespan import OAuthServerState
from app.oauth_server.models import Client
from app.oauth_server.registration import new_token
from app.oauth_server.scopes import SCOPES
from app.web.body import form_fields
from app.web.errors import BadRequest, Conflict, NotFound, Problem
from app.web.i18n import N_

ClientRequest = Request[OAuthServerState]
CLIENTS = "/admin/clients"
REASON = N_("You are about to change a client.")
QUESTIONS = {
    "remove": Question(
        N_("Remove %(name)s?"),
        N_("Nobody can sign in to it with an account here any more, and its tokens stop working at once."),
        N_("Remove"),
    ),
    "secret": Question(
        N_("Make a new secret for %(name)s?"),
        N_("The present secret stays valid beside it. An older one stops working at once."),
        N_("Make a new secret"),
        danger=False,
    ),
}
WRONG = {
    "id": N_("An ID has 1 to 64 letters, digits or . _ ~ - and begins with a letter or digit."),
    "name": N_("A name has 1 to 100 characters."),
    "redirect_uris": N_(
        "At least one is needed: https, http at localhost or, for an app, of a scheme such as com.example.app; "
        "without # and *."
    ),
    "post_logout_redirect_uris": N_("Addresses are https, or http at localhost, without # and *."),
    "logout_uri": N_("The address is https, or http at localhost, without # and *."),
}
"""What is wrong with a field of a form, for the reader."""
NEW_FIELDS = ("name", "id", "redirect_uris", "kind")
FLAGS = ("first_party", "pkce", "device", "introspect")
CHOICES = ("id_token_alg", "access_token_format", "subject")
LISTS = ("redirect_uris", "post_logout_redirect_uris", "scopes", "groups")
FIELDS = ("name", "logout_uri", *FLAGS, *CHOICES, *LISTS)
SHOWN_USERS = 50


@admin_required
async def list_clients(request: ClientRequest, admin: User) -> Response:
    return await _list_page(request, token=await shown_secret(request, admin))


@admin_required
@confirm(REASON, CLIENTS)
async def create_client(request: ClientRequest, admin: User) -> Response:
    """`POST /admin/clients` with `name`, `id`, `redirect_uris` and `kind` (server or public)."""
    fields = await form_fields(request, *NEW_FIELDS)
    table: dict[str, Any] = {"name": fields["name"], "redirect_uris": fields["redirect_uris"].split()}
    table |= {"public": fields["kind"] == "public"} | ({"id": fields["id"].strip()} if fields["id"].strip() else {})
    try:
        client, secret = await administration.create(request, admin, table)
    except (BadRequest, Conflict) as error:
        return await _list_page(request, error=error, typed=fields)
    if secret is None:
        return see_other(f"{CLIENTS}/{client.id}")
    return await redirect_with_secret(request, admin, f"{CLIENTS}/{client.id}", secret)


@admin_required
@confirm(REASON, CLIENTS)
async def create_registration_token(request: ClientRequest, admin: User) -> Response:
    """`POST /admin/clients/registration`: a token with which clients register; the list shows it, once."""
    return await redirect_with_secret(request, admin, CLIENTS, await new_token(request, admin))


@admin_required
async def show_client(request: ClientRequest, admin: User) -> Response:
    return await _page(request, admin)


@admin_required
@confirm(REASON, CLIENTS)
async def change_client(request: ClientRequest, admin: User) -> Response:
    """`POST /admin/clients/{id}` with the fields of the form."""
    fields = await form_fields(request, *FIELDS)
    try:
        await administration.change(request, admin, table_of(fields))
    except (BadRequest, Conflict) as error:
        return await _page(request, admin, error=error, typed=fields)
    return await redirect_with_message(request, f"{CLIENTS}/{request.path_params['id']}", N_("Saved."))


@admin_required
@confirm(REASON, CLIENTS)
async def run_action(request: ClientRequest, admin: User) -> Response:
    """`POST /admin/clients/{id}/{action}`: secret, disable, enable or remove."""
    path = f"{CLIENTS}/{request.path_params['id']}"
    match request.path_params["action"]:
        case "secret":
            return await redirect_with_secret(request, admin, path, await administration.add_secret(request, admin))
        case "disable" | "enable" as action:
            await administration.change(request, admin, {"disabled": action == "disable"})
        case "remove":
            await administration.remove(request, admin)
            await flash_message(request, N_("The service has been removed."))
            path = CLIENTS
        case _:
            raise BadRequest("action: there is no such action", field="action")
    return see_other(path)


@admin_required
async def ask_to_run_action(request: ClientRequest, admin: User) -> Response:
    """`GET /admin/clients/{id}/{action}`: remove or secret."""
    client, action = await administration.find_editable(request), request.path_params["action"]
    if action not in QUESTIONS:
        raise NotFound
    return await ask(request, QUESTIONS[action], back=f"{CLIENTS}/{client.id}", name=client.name)


def table_of(fields: dict[str, str]) -> dict[str, Any]:
    """The form as a table of `client_of`."""
    table: dict[str, Any] = {name: fields[name].split() for name in LISTS}
    table |= {name: fields[name] == "on" for name in FLAGS}
    table |= {name: fields[name] for name in CHOICES if fields[name]}
    return table | {
        "name": fields["name"],
        "logout_uri": fields["logout_uri"].strip() or None,
        "groups": table["groups"] or None,
    }


def _form(client: Client) -> dict[str, str]:
    fields = {name: "\n".join(getattr(client, name) or ()) for name in LISTS}
    fields |= {name: "on" if getattr(client, name) else "" for name in FLAGS}
    fields |= {name: getattr(client, name) for name in CHOICES}
    lists = {name: fields[name].replace("\n", " ") for name in ("scopes", "groups")}
    return fields | lists | {"name": client.name, "logout_uri": client.logout_uri or ""}


def _wrong(problem: Problem | None) -> dict[str, Any]:
    """`error` and `field` of a page: what is wrong, and where."""
    if problem is None:
        return {"error": None, "field": None}
    field = str(problem.members.get("field", ""))
    return {"error": WRONG.get(field, problem.detail), "field": field}


async def _page(
    request: ClientRequest, admin: User, *, error: Problem | None = None, typed: dict[str, str] | None = None
) -> Response:
    provider, client = request.state["oauth_server"], await administration.find(request)
    last, total = await provider.store.users_of(client.id, SHOWN_USERS)
    found = [(await request.state["accounts"].by_id(user_id), at) for user_id, at in last]
    return await page(
        request,
        "oauth_server/client.html",
        **_wrong(error),
        client=client,
        form=typed or _form(client),
        secret_value=await shown_secret(request, admin),
        users=[(each, at) for each, at in found if each is not None],
        total=total,
        issuer=provider.issuer,
        known_scopes=" ".join(SCOPES),
        failure=await provider.backchannel.store.failure(client.id),
    )


async def _list_page(
    request: ClientRequest,
    *,
    error: Problem | None = None,
    typed: dict[str, str] | None = None,
    token: str | None = None,
) -> Response:
    clients, total, number, last = await page_of_clients(request)
    return await page(
        request,
        "oauth_server/clients.html",
        **_wrong(error),
        clients=clients,
        total=total,
        number=number,
        last=last,
        token=token,
        form=typed or dict.fromkeys(NEW_FIELDS, ""),
        issuer=request.state["oauth_server"].issuer,
    )


routes: list[BaseRoute] = [
    Route(CLIENTS, list_clients, methods=["GET"]),
    Route(CLIENTS, create_client, methods=["POST"]),
    Route(f"{CLIENTS}/registration", create_registration_token, methods=["POST"]),
    Route(f"{CLIENTS}/{{id}}", show_client, methods=["GET"]),
    Route(f"{CLIENTS}/{{id}}", change_client, methods=["POST"]),
    Route(f"{CLIENTS}/{{id}}/{{action}}", ask_to_run_action, methods=["GET"]),
    Route(f"{CLIENTS}/{{id}}/{{action}}", run_action, methods=["POST"]),
]
