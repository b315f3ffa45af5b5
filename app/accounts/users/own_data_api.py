"""The API of a user's own profile and data."""

from functools import partial
from typing import Annotated

from pydantic import AfterValidator, Field
from starlette.requests import Request
from starlette.responses import Response

from app.accounts.guards import fresh, fresh_or_token, sign_in_required
from app.accounts.helpers import audit
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.accounts.pages.own_data import remove_own_account
from app.accounts.users import own_data
from app.accounts.users.profile import display_name_of
from app.audit.log import Event
from app.web.body import Body, Text, json_body
from app.web.openapi import ApiRoute, Operation
from app.web.responses import json_response

BACK = "/account"


class ChangeAccount(Body):
    display_name: Annotated[Text, AfterValidator(display_name_of), Field(description="May be empty.")]


@sign_in_required
async def change_account(request: Request[AccountState], user: User) -> Response:
    body = await json_body(request, ChangeAccount)
    await request.state["users"].set_display_name(user.id, body.display_name)
    await audit(request, Event.PROFILE_CHANGED, user=user, detail="display_name")
    return json_response(body)


@sign_in_required
async def export_account(request: Request[AccountState], user: User) -> Response:
    await fresh_or_token(request, BACK)
    return json_response(await own_data.export(request, user))


@sign_in_required
async def remove_account(request: Request[AccountState], user: User) -> Response:
    """`DELETE /api/account`: not by a token."""
    await fresh(request, BACK)
    await remove_own_account(request, user)
    return Response(status_code=204)


_account = partial(Operation, tag="account", guarded=True)
CHANGE = _account("Change your display name", ChangeAccount, body=ChangeAccount)
EXPORT = _account("Everything that is kept of the user; requires recent authentication", {"type": "object"})
REMOVE = _account("Remove your account; requires recent authentication. Audit entries stay", problems=[409])
routes = [
    ApiRoute("PATCH", "/api/account", change_account, CHANGE),
    ApiRoute("GET", "/api/account/export", export_account, EXPORT),
    ApiRoute("DELETE", "/api/account", remove_account, REMOVE),
]
