"""The API of invitations."""

from dataclasses import asdict
from functools import partial
from typing import Annotated

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from app.accounts.administration import actions
from app.accounts.guards import admin_required, fresh_or_token
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.web.body import Body, Text, json_body
from app.web.openapi import ApiRoute, Operation, ResponseModel
from app.web.responses import json_response

BACK = "/admin/invitations"


class InvitationModel(ResponseModel):
    id: str
    by: str
    created: float
    expires: float
    email: str
    note: str
    is_admin: bool
    groups: tuple[str, ...]


class NewInvitationModel(InvitationModel):
    url: str


class Invite(Body):
    days: Annotated[int, Field(ge=1, le=365, description="Days for which the link is valid.")] = 7
    email: Text = ""
    note: Text = ""
    is_admin: bool = False
    groups: Annotated[tuple[Text, ...], Field(max_length=100, strict=False)] = ()
    send: Annotated[bool, Field(description="Whether to mail the link to `email`, where mails can be sent.")] = False


@admin_required
async def list_invitations(request: Request[AccountState], admin: User) -> Response:
    return json_response([asdict(each) for each in await request.state["invitations"].list()])


@admin_required
async def invite(request: Request[AccountState], admin: User) -> Response:
    """`POST /api/invitations`: the response holds the link, which is never shown again."""
    await fresh_or_token(request, BACK)
    body = await json_body(request, Invite)
    url, invitation = await actions.invite(request, admin, **body.model_dump())
    return json_response(asdict(invitation) | {"url": url}, 201)


@admin_required
async def withdraw(request: Request[AccountState], admin: User) -> Response:
    await fresh_or_token(request, BACK)
    await actions.withdraw_invitation(request, admin, await actions.invitation_of(request))
    return Response(status_code=204)


_invitations = partial(Operation, tag="invitations", parameters={"id": "The invitation's id."}, guarded=True)
LIST_INVITATIONS = _invitations("The valid invitations, next to expire first", list[InvitationModel])
INVITE = _invitations(
    "Invite somebody: the link, shown once, makes one account with this address, role and groups",
    NewInvitationModel,
    status=201,
    body=Invite,
    problems=[429],
)
WITHDRAW = _invitations("Withdraw an invitation: its link stops working at once")

routes = [
    ApiRoute("GET", "/api/invitations", list_invitations, LIST_INVITATIONS),
    ApiRoute("POST", "/api/invitations", invite, INVITE),
    ApiRoute("DELETE", "/api/invitations/{id}", withdraw, WITHDRAW),
]
