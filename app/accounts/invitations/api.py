"""The API of invitations."""

from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from app.accounts.administration import actions
from app.accounts.guards import admin_required, fresh_or_token
from app.accounts.invitations.invitations import Invitation
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.accounts.users.profile import BadProfile
from app.web.body import Body, Text, json_body
from app.web.errors import BadRequest
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
    """`GET /api/invitations`."""
    return json_response([_json(each) for each in await request.state["invitations"].list()])


@admin_required
async def invite(request: Request[AccountState], admin: User) -> Response:
    """`POST /api/invitations`: the response holds the link, which is never shown again."""
    await fresh_or_token(request, BACK)
    body = await json_body(request, Invite)
    given = body.model_dump(exclude={"days"})
    try:
        url, invitation = await actions.invite(request, admin, body.days, **given)
    except BadProfile as bad:
        raise BadRequest(f"{bad.field}: {bad.reason}", field=bad.field) from None
    return json_response(_json(invitation) | {"url": url}, 201)


@admin_required
async def withdraw(request: Request[AccountState], admin: User) -> Response:
    """`DELETE /api/invitations/{id}`."""
    await fresh_or_token(request, BACK)
    await actions.withdraw_invitation(request, admin, await actions.invitation_of(request))
    return Response(status_code=204)


def _json(invitation: Invitation) -> dict[str, Any]:
    return asdict(invitation)


LIST_INVITATIONS = Operation(
    summary="The valid invitations, next to expire first",
    tag="invitations",
    responses={200: ("The invitations, without their links.", list[InvitationModel])},
    problems=[403],
    guarded=True,
)
INVITE = Operation(
    summary="Invite somebody: the link makes one account with this address, role and groups",
    tag="invitations",
    body=Invite,
    responses={201: ("The invitation and its link, shown this once.", NewInvitationModel)},
    problems=[429],
    guarded=True,
)
WITHDRAW = Operation(
    summary="Withdraw an invitation: its link stops working at once",
    tag="invitations",
    parameters={"id": "The invitation's id."},
    responses={204: ("Withdrawn.", None)},
    problems=[404],
    guarded=True,
)

routes = [
    ApiRoute("GET", "/api/invitations", list_invitations, LIST_INVITATIONS),
    ApiRoute("POST", "/api/invitations", invite, INVITE),
    ApiRoute("DELETE", "/api/invitations/{id}", withdraw, WITHDRAW),
]
