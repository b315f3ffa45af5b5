"""Administration: services, their grants and tokens."""

import re
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.api_tokens.tokens import DAY, MAX_TOKEN_DAYS, MAX_TOKEN_NAME_LENGTH, TooManyTokens
from app.accounts.asking import Question, ask, named_in_query
from app.accounts.guards import admin_required
from app.accounts.helpers import audit, page, redirect_with_message, see_other
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.accounts.services.api import changeable, found
from app.accounts.services.services import (
    MAX_NAME_LENGTH,
    NAME,
    Grants,
    Service,
    ServiceExists,
    TooManyServices,
    WeChatGrant,
)
from app.accounts.shown_once import redirect_with_secret, shown_secret
from app.accounts.sign_in.reauthentication import confirm
from app.audit.log import Event
from app.web.body import form_fields
from app.web.errors import NotFound
from app.web.i18n import N_

SERVICES = "/admin/services"
REASON = N_("You are about to change what a service may do.")
REVOKE = Question(N_("Revoke the token “%(name)s”?"), N_("Programs that use it are refused at once."), N_("Revoke"))
REMOVE = Question(
    N_("Remove %(name)s?"),
    N_("The service loses its grants, and its tokens stop working at once."),
    N_("Remove the service"),
    typed=N_("Type the service's name to confirm"),
)
EMPTY = dict.fromkeys(("account", "paths", "raw_token", "per_minute", "per_day", "name"), "") | {"days": "365"}
NUMBER = re.compile("[0-9]{1,9}")


@admin_required
async def list_services(request: Request[AccountState], admin: User) -> Response:
    return await _list_page(request)


@admin_required
@confirm(REASON, SERVICES)
async def create_service(request: Request[AccountState], admin: User) -> Response:
    """`POST /admin/services` with `name`."""
    name = (await form_fields(request, "name"))["name"].strip()
    if not NAME.fullmatch(name) or len(name) > MAX_NAME_LENGTH:
        return await _list_page(request, N_("Small letters and digits, with single - or _ between."), name)
    try:
        service = await request.state["services"].create(name, Grants())
    except (ServiceExists, TooManyServices) as conflict:
        return await _list_page(request, conflict.detail, name)
    await audit(request, Event.SERVICE_CREATED, user="", by=admin, detail=name)
    return see_other(f"{SERVICES}/{service.id}")


@admin_required
async def show_service(request: Request[AccountState], admin: User) -> Response:
    return await _page(request, admin, await found(request))


@admin_required
@confirm(REASON, SERVICES)
async def set_grant(request: Request[AccountState], admin: User) -> Response:
    """`POST /admin/services/{id}/grants`: sets the grant of a WeChat `account`; `remove` takes it away."""
    service = await changeable(request)
    fields = await form_fields(request, "account", "paths", "raw_token", "per_minute", "per_day", "remove")
    try:
        changed = await request.state["services"].change(service, lambda now: _granted(now, fields))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = str(first["loc"][0]) if first["loc"] else "account"
        return await _page(request, admin, service, N_("This value cannot be used."), field, fields)
    if changed is None:
        raise NotFound
    await audit(request, Event.SERVICE_CHANGED, user="", by=admin, detail=service.name)
    return await redirect_with_message(request, f"{SERVICES}/{service.id}", N_("Saved."))


@admin_required
@confirm(REASON, SERVICES)
async def create_token(request: Request[AccountState], admin: User) -> Response:
    """`POST /admin/services/{id}/tokens` with `name` and `days` (0: for ever); the page shows the token, once."""
    service = await changeable(request)
    fields = await form_fields(request, "name", "days")
    name, days = fields["name"].strip(), fields["days"]
    if not name or len(name) > MAX_TOKEN_NAME_LENGTH:
        problem = N_("Please enter a name of at most 100 characters.")
        return await _page(request, admin, service, problem, "name", fields)
    if not NUMBER.fullmatch(days) or int(days) > MAX_TOKEN_DAYS:
        return await _page(request, admin, service, N_("Please choose the number of days."), "days", fields)
    try:
        secret, _ = await request.state["services"].tokens.create(service.id, name, int(days) * DAY or None)
    except TooManyTokens:
        problem = N_("The service has too many tokens: revoke one first.")
        return await _page(request, admin, service, problem)
    await audit(request, Event.SERVICE_CHANGED, user="", by=admin, detail=f"{service.name}: +{name}")
    return await redirect_with_secret(request, admin, f"{SERVICES}/{service.id}", secret)


@admin_required
async def ask_to_revoke_token(request: Request[AccountState], admin: User) -> Response:
    service = await changeable(request)
    tokens = await request.state["services"].tokens.list(service.id)
    token = named_in_query(request, tokens, lambda token: token.id, "token")
    return await ask(request, REVOKE, back=f"{SERVICES}/{service.id}", name=token.name, fields={"token": token.id})


@admin_required
@confirm(REASON, SERVICES)
async def revoke_token(request: Request[AccountState], admin: User) -> Response:
    """`POST /admin/services/{id}/tokens/revoke` with the token's `token`."""
    service = await changeable(request)
    fields = await form_fields(request, "token")
    if not await request.state["services"].tokens.revoke(service.id, fields["token"]):
        raise NotFound
    await audit(request, Event.SERVICE_CHANGED, user="", by=admin, detail=f"{service.name}: token revoked")
    return await redirect_with_message(request, f"{SERVICES}/{service.id}", N_("The token has been revoked."))


@admin_required
async def ask_to_remove_service(request: Request[AccountState], admin: User) -> Response:
    service = await changeable(request)
    return await ask(request, REMOVE, back=f"{SERVICES}/{service.id}", name=service.name)


@admin_required
@confirm(REASON, SERVICES)
async def remove_service(request: Request[AccountState], admin: User) -> Response:
    """`POST /admin/services/{id}/remove` with `name`, typed to confirm."""
    service = await changeable(request)
    if (await form_fields(request, "name"))["name"].strip() != service.name:
        error = N_("This is not the service's name.")
        return await ask(request, REMOVE, back=f"{SERVICES}/{service.id}", name=service.name, error=error)
    await request.state["services"].remove(service)
    await audit(request, Event.SERVICE_REMOVED, user="", by=admin, detail=service.name)
    return await redirect_with_message(request, SERVICES, N_("The service has been removed."))


def _granted(grants: Grants, fields: dict[str, str]) -> Grants:
    """The grants with another one for the form's account. Raises ValidationError."""
    wechat = dict(grants.wechat)
    account = fields["account"].strip()
    if fields["remove"]:
        wechat.pop(account, None)
    else:
        wechat[account] = WeChatGrant.model_validate(
            {
                "paths": tuple(fields["paths"].split()) or None,
                "raw_token": bool(fields["raw_token"]),
                "per_minute": _number(fields["per_minute"]),
                "per_day": _number(fields["per_day"]),
            }
        )
    return Grants.model_validate({"wechat": wechat, "config": grants.config})


def _number(text: str) -> Any:
    """None for an empty field; a text that is no number is left for the model to refuse."""
    text = text.strip()
    return int(text) if NUMBER.fullmatch(text) else text or None


async def _list_page(request: Request[AccountState], error: str | None = None, name: str = "") -> Response:
    services = await request.state["services"].list()
    return await page(request, "accounts/services.html", services=services, error=error, typed=name)


async def _page(
    request: Request[AccountState],
    admin: User,
    service: Service,
    error: str | None = None,
    field: str | None = None,
    typed: dict[str, str] | None = None,
) -> Response:
    return await page(
        request,
        "accounts/service.html",
        service=service,
        tokens=await request.state["services"].tokens.list(service.id),
        new_token=await shown_secret(request, admin),
        error=error,
        field=field,
        typed=EMPTY | (typed or {}),
    )


routes = [
    Route(SERVICES, list_services, methods=["GET"]),
    Route(SERVICES, create_service, methods=["POST"]),
    Route("/admin/services/{id}", show_service, methods=["GET"]),
    Route("/admin/services/{id}/grants", set_grant, methods=["POST"]),
    Route("/admin/services/{id}/tokens", create_token, methods=["POST"]),
    Route("/admin/services/{id}/tokens/revoke", ask_to_revoke_token, methods=["GET"]),
    Route("/admin/services/{id}/tokens/revoke", revoke_token, methods=["POST"]),
    Route("/admin/services/{id}/remove", ask_to_remove_service, methods=["GET"]),
    Route("/admin/services/{id}/remove", remove_service, methods=["POST"]),
]
