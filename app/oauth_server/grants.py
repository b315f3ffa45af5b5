"""The services that a user has signed in to: a page and the API; withdrawing one ends its tokens."""

from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.accounts.asking import Question, ask, named_in_query
from app.accounts.guards import sign_in_required
from app.accounts.helpers import audit, page, redirect_with_message
from app.accounts.models import User
from app.audit.log import Event
from app.oauth_server.lifespan import OAuthServerState
from app.oauth_server.scopes import SCOPES
from app.web.body import form_fields
from app.web.errors import NotFound
from app.web.i18n import N_
from app.web.openapi import ApiRoute, Operation, ResponseModel
from app.web.responses import json_response

SERVICES = "/account/services"
WITHDRAW = Question(
    N_("Withdraw the access of %(name)s?"),
    N_("Its tokens stop working at once. It has to ask you again before it can use your account."),
    N_("Withdraw"),
)


class GrantModel(ResponseModel):
    """`first` and `last` use are Unix seconds."""

    id: str
    name: str
    scopes: list[str]
    first: float
    last: float


@sign_in_required
async def list_grants(request: Request[OAuthServerState], user: User) -> Response:
    return json_response(await _grants(request, user))


@sign_in_required
async def withdraw(request: Request[OAuthServerState], user: User) -> Response:
    await _withdraw(request, user, request.path_params["id"])
    return Response(status_code=204)


@sign_in_required
async def list_services(request: Request[OAuthServerState], user: User) -> Response:
    pages = request.state["pages"]
    locale = pages.locale_of(request.scope)
    words = {scope: pages.translate(locale, text) for scope, text in SCOPES.items()}
    return await page(request, "oauth_server/grants.html", grants=await _grants(request, user), words=words)


@sign_in_required
async def ask_to_withdraw(request: Request[OAuthServerState], user: User) -> Response:
    grant = named_in_query(request, await _grants(request, user), lambda grant: grant.id)
    return await ask(request, WITHDRAW, to=SERVICES, back=SERVICES, name=grant.name, fields={"id": grant.id})


@sign_in_required
async def withdraw_by_form(request: Request[OAuthServerState], user: User) -> Response:
    """`POST /account/services` with the `id` of the service to withdraw."""
    fields = await form_fields(request, "id")
    await _withdraw(request, user, fields["id"])
    return await redirect_with_message(request, SERVICES, N_("The service has no access any more."))


async def _withdraw(request: Request[OAuthServerState], user: User, client_id: str) -> None:
    """Raises NotFound."""
    if len(client_id) > 64 or not await request.state["oauth_server"].store.withdraw(user.id, client_id):
        raise NotFound
    await audit(request, Event.CONSENT_WITHDRAWN, user=user, detail=client_id)


async def _grants(request: Request[OAuthServerState], user: User) -> list[GrantModel]:
    """The last used first."""
    provider = request.state["oauth_server"]
    found = []
    for grant in (await provider.store.grants(user.id)).values():
        client = await provider.clients.get(grant.client)
        name = client.name if client is not None else grant.client
        scopes = list(grant.scopes)
        found.append(GrantModel(id=grant.client, name=name, scopes=scopes, first=grant.first, last=grant.last))
    return sorted(found, key=lambda each: each.last, reverse=True)


_account = partial(Operation, tag="account", guarded=True)
LIST = _account("The services that the user has signed in to, the last used first", list[GrantModel])
WITHDRAWAL = _account("Withdraw a service's access: its tokens are dead", parameters={"id": "The service's id."})
routes: list[BaseRoute] = [
    ApiRoute("GET", "/api/account/grants", list_grants, LIST),
    ApiRoute("DELETE", "/api/account/grants/{id}", withdraw, WITHDRAWAL, name="withdraw_grant"),
    Route(SERVICES, list_services, methods=["GET"]),
    Route(f"{SERVICES}/withdraw", ask_to_withdraw, methods=["GET"]),
    Route(SERVICES, withdraw_by_form, methods=["POST"]),
]
