"""The API of services, for administrators."""

from functools import partial
from typing import Annotated

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from app.accounts.api_tokens.tokens import DAY, MAX_TOKEN_DAYS, MAX_TOKEN_NAME_LENGTH, TooManyTokens
from app.accounts.guards import admin_required, fresh_or_token
from app.accounts.helpers import audit
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.accounts.services.services import (
    ConfigGrant,
    Grants,
    Name,
    Role,
    Service,
    WeChatGrant,
)
from app.audit.log import Event
from app.web.body import Body, json_body
from app.web.errors import Conflict, NotFound
from app.web.i18n import N_
from app.web.openapi import ApiRoute, Operation, ResponseModel
from app.web.responses import json_response

ConfigGrants = dict[str, Role | ConfigGrant]


class NewService(Body):
    name: Name
    wechat: dict[str, WeChatGrant] = Field(default={})
    config: ConfigGrants = Field(default={})


class ServiceChange(Body):
    wechat: dict[str, WeChatGrant] | None = None
    config: ConfigGrants | None = None


class NewToken(Body):
    name: Annotated[str, Field(min_length=1, max_length=MAX_TOKEN_NAME_LENGTH, pattern=r"\S")]
    days: Annotated[int, Field(ge=0, le=MAX_TOKEN_DAYS, description="0: for ever.")] = 0


class ServiceTokenModel(ResponseModel):
    id: str
    name: str
    created: float
    expires: float | None


class ServiceModel(ResponseModel):
    id: str
    name: str
    created: float
    configured: bool
    wechat: dict[str, WeChatGrant]
    config: ConfigGrants
    tokens: list[ServiceTokenModel]


class CreatedToken(ServiceTokenModel):
    token: str


@admin_required
async def list_services(request: Request[AccountState], admin: User) -> Response:
    return json_response([await _model(request, each) for each in await request.state["services"].list()])


@admin_required
async def create_service(request: Request[AccountState], admin: User) -> Response:
    body = await json_body(request, NewService)
    service = await request.state["services"].create(body.name, Grants(wechat=body.wechat, config=body.config))
    await audit(request, Event.SERVICE_CREATED, user="", by=admin, detail=service.name)
    return json_response(await _model(request, service), 201)


@admin_required
async def show_service(request: Request[AccountState], admin: User) -> Response:
    return json_response(await _model(request, await found(request)))


@admin_required
async def change_service(request: Request[AccountState], admin: User) -> Response:
    """`PATCH /api/services/{id}`: replaces the grants of each feature that is given."""
    service = await changeable(request)
    body = await json_body(request, ServiceChange)
    given = {name: value for name, value in (("wechat", body.wechat), ("config", body.config)) if value is not None}
    changed = await request.state["services"].change(service, lambda now: now.model_copy(update=given))
    if changed is None:
        raise NotFound
    await audit(request, Event.SERVICE_CHANGED, user="", by=admin, detail=service.name)
    return json_response(await _model(request, changed))


@admin_required
async def remove_service(request: Request[AccountState], admin: User) -> Response:
    service = await changeable(request)
    if not await request.state["services"].remove(service):
        raise NotFound
    await audit(request, Event.SERVICE_REMOVED, user="", by=admin, detail=service.name)
    return Response(status_code=204)


@admin_required
async def create_token(request: Request[AccountState], admin: User) -> Response:
    """`POST /api/services/{id}/tokens`: the response holds the token, which is never shown again."""
    await fresh_or_token(request, "/account")
    service = await changeable(request)
    body = await json_body(request, NewToken)
    name, lifetime = body.name.strip(), body.days * DAY or None
    try:
        secret, token = await request.state["services"].tokens.create(service.id, name, lifetime)
    except TooManyTokens:
        raise Conflict(N_("The service has too many tokens: revoke one first.")) from None
    await audit(request, Event.SERVICE_CHANGED, user="", by=admin, detail=f"{service.name}: +{name}")
    return json_response(CreatedToken(**ServiceTokenModel.model_validate(token).model_dump(), token=secret), 201)


@admin_required
async def revoke_token(request: Request[AccountState], admin: User) -> Response:
    service = await changeable(request)
    if not await request.state["services"].tokens.revoke(service.id, request.path_params["token_id"]):
        raise NotFound
    await audit(request, Event.SERVICE_CHANGED, user="", by=admin, detail=f"{service.name}: token revoked")
    return Response(status_code=204)


async def found(request: Request[AccountState]) -> Service:
    service: Service | None = await request.state["services"].get(request.path_params["id"])
    if service is None:
        raise NotFound
    return service


async def changeable(request: Request[AccountState]) -> Service:
    """Raises Conflict for a service of the settings."""
    service = await found(request)
    if service.configured:
        raise Conflict(N_("This service is set in the configuration: change it there."))
    return service


async def _model(request: Request[AccountState], service: Service) -> ServiceModel:
    tokens = await request.state["services"].tokens.list(service.id)
    return ServiceModel(
        id=service.id,
        name=service.name,
        created=service.created,
        configured=service.configured,
        wechat=service.grants.wechat,
        config=service.grants.config,
        tokens=[ServiceTokenModel.model_validate(token) for token in tokens],
    )


_services = partial(
    Operation,
    tag="services",
    parameters={"id": "The service's id.", "token_id": "The token's id."},
    guarded=True,
)
LIST = _services("The services", list[ServiceModel])
CREATE = _services("Create a service, without a token", ServiceModel, status=201, body=NewService, problems=[409])
SHOW = _services("One service", ServiceModel)
CHANGE = _services(
    "Replace the grants of a service, for each feature that is given", ServiceModel, body=ServiceChange, problems=[409]
)
REMOVE = _services("Remove a service and its tokens", problems=[409])
CREATE_TOKEN = _services(
    "Create a token of a service; it is shown once", CreatedToken, status=201, body=NewToken, problems=[409]
)
REVOKE_TOKEN = _services("Revoke a token of a service", problems=[409])

routes = [
    ApiRoute("GET", "/api/services", list_services, LIST),
    ApiRoute("POST", "/api/services", create_service, CREATE),
    ApiRoute("GET", "/api/services/{id}", show_service, SHOW),
    ApiRoute("PATCH", "/api/services/{id}", change_service, CHANGE),
    ApiRoute("DELETE", "/api/services/{id}", remove_service, REMOVE),
    ApiRoute("POST", "/api/services/{id}/tokens", create_token, CREATE_TOKEN, name="create_service_token"),
    ApiRoute("DELETE", "/api/services/{id}/tokens/{token_id}", revoke_token, REVOKE_TOKEN, name="revoke_service_token"),
]
