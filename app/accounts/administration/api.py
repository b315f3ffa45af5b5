"""The API of the administration: users and groups."""

from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from starlette.requests import Request
from starlette.responses import Response

from app.accounts.administration import actions
from app.accounts.administration.user_overview import UserOverview, overview, overviews
from app.accounts.api import UserModel, user_json
from app.accounts.guards import admin_required, fresh_or_token
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.accounts.users.profile import display_name_of, email_of, group_of, groups_of
from app.accounts.users.search import UserFilter
from app.web.body import Body, Text, json_body
from app.web.errors import Conflict, NotFound
from app.web.i18n import N_
from app.web.openapi import ApiRoute, Operation, ResponseModel
from app.web.responses import json_response

PAGE_SIZE = 50


class ManagedUser(UserModel):
    """`last_seen` is null if the user never signed in; `ways` to sign in are `password`, `passkey`, `totp` and
    names of providers.
    """

    disabled: bool
    last_seen: float | None
    ways: tuple[str, ...]


class ChangeUsers(Body):
    users: Annotated[list[Text], Field(min_length=1, max_length=PAGE_SIZE, description="Ids.")]
    disabled: bool | None = None
    join: Annotated[Text | None, Field(description="A group that they join.")] = None
    leave: Annotated[Text | None, Field(description="A group that they leave.")] = None


Groups = Annotated[
    tuple[Text, ...],
    Field(strict=False, json_schema_extra={"maxItems": 100}),
    AfterValidator(groups_of),
]


class ChangeUser(Body):
    """What is left out, or null, stays as it is."""

    display_name: Annotated[Text, AfterValidator(display_name_of)] | None = None
    email: Annotated[Text, AfterValidator(email_of), Field(description="Empty: none.")] | None = None
    email_verified: Annotated[bool, Field(description="Left out: true where `email` is given.")] | None = None
    groups: Groups | None = None
    is_admin: bool | None = None
    disabled: bool | None = None


class NewGroup(Body):
    name: Annotated[Text, AfterValidator(partial(group_of, field="name"))]


class UsersPage(ResponseModel):
    users: list[ManagedUser]
    total: Annotated[int, Field(ge=0)] | None
    after: str | None


class Unchanged(ResponseModel):
    unchanged: list[str]


class ResetLinkModel(ResponseModel):
    url: str
    expires: float


class GroupModel(ResponseModel):
    name: str
    created: float
    members: Annotated[int, Field(ge=0)]


BACK = "/admin/users"


@admin_required
async def list_users(request: Request[AccountState], admin: User) -> Response:
    query = request.query_params
    found = await request.state["user_search"].find(UserFilter.from_query(query), query.get("after"), PAGE_SIZE)
    users = [_managed(each) for each in await overviews(request, found.users)]
    return json_response({"users": users, "total": found.total, "after": found.after})


@admin_required
async def change_users(request: Request[AccountState], admin: User) -> Response:
    """`PATCH /api/users`: the same change of many users."""
    await fresh_or_token(request, BACK)
    body = await json_body(request, ChangeUsers)
    join = group_of(body.join, "join") if body.join else None
    leave = group_of(body.leave, "leave") if body.leave else None
    change = actions.BulkChange(body.disabled, join, leave)
    left = await actions.change_many(request, admin, body.users, change)
    return json_response({"unchanged": left})


@admin_required
async def show_user(request: Request[AccountState], admin: User) -> Response:
    return json_response(_managed(await overview(request, await actions.subject(request))))


@admin_required
async def change_user(request: Request[AccountState], admin: User) -> Response:
    """`PATCH /api/users/{id}`: the members that are given. All are checked before the first is stored."""
    await fresh_or_token(request, BACK)
    subject = await actions.subject(request)
    fields = (await json_body(request, ChangeUser)).model_dump(exclude_none=True)
    await actions.change(request, admin, subject, fields)
    return json_response(_managed(await overview(request, await actions.subject(request))))


@admin_required
async def remove_user(request: Request[AccountState], admin: User) -> Response:
    await fresh_or_token(request, BACK)
    subject = await actions.subject(request)
    await actions.remove(request, admin, subject)
    return Response(status_code=204)


@admin_required
async def create_reset_link(request: Request[AccountState], admin: User) -> Response:
    """`POST /api/users/{id}/reset-link`: the response holds the link, which is never shown again."""
    await fresh_or_token(request, BACK)
    url, expires = await actions.reset_link(request, admin, await actions.subject(request))
    return json_response({"url": url, "expires": expires}, 201)


@admin_required
async def list_groups(request: Request[AccountState], admin: User) -> Response:
    return json_response([asdict(group) for group in await request.state["users"].groups()])


@admin_required
async def create_group(request: Request[AccountState], admin: User) -> Response:
    """`POST /api/groups` with `name`."""
    await fresh_or_token(request, BACK)
    name = (await json_body(request, NewGroup)).name
    if not await actions.create_group(request, admin, name):
        raise Conflict(N_("There is a group of this name."))
    (group,) = (each for each in await request.state["users"].groups() if each.name == name)
    return json_response(asdict(group), 201)


@admin_required
async def remove_group(request: Request[AccountState], admin: User) -> Response:
    """`DELETE /api/groups/{name}`: its members stay."""
    await fresh_or_token(request, BACK)
    if not await actions.remove_group(request, admin, request.path_params["name"]):
        raise NotFound
    return Response(status_code=204)


def _managed(seen: UserOverview) -> dict[str, Any]:
    managed = {"disabled": seen.user.disabled, "last_seen": seen.last_seen, "ways": seen.ways}
    return user_json(seen.user) | managed


_users = partial(Operation, tag="users", parameters={"id": "The user's id."}, guarded=True)
_groups = partial(Operation, tag="groups", parameters={"name": "The group's name."}, guarded=True)
LIST_USERS = _users(
    "The users, in order of their names",
    UsersPage,
    returns="A page of users; `total` is null where there are more users than one request looks at.",
    query={
        "q": "A part of a name or an e-mail address.",
        "role": "`admin` or `user`.",
        "disabled": "`true` or `false`.",
        "group": "The name of a group.",
        "never_signed_in": "`true`: only users who have never signed in.",
        "after": "The cursor of the next page.",
    },
)
CHANGE_USERS = _users(
    "Disable or enable up to 50 users, or change a group of theirs",
    Unchanged,
    returns="Ids of users that stay as they are.",
    body=ChangeUsers,
)
SHOW_USER = _users("One user", ManagedUser)
CHANGE_USER = _users("Change a user: the members that are given", ManagedUser, body=ChangeUser, problems=[409])
REMOVE_USER = _users("Remove a user with everything that belongs to it; audit entries stay", problems=[409])
CREATE_RESET_LINK = _users(
    "Create a link, shown once, that sets a user's password once, within a day, and ends the user's sessions",
    ResetLinkModel,
    status=201,
)
LIST_GROUPS = _groups("The groups", list[GroupModel])
CREATE_GROUP = _groups("Create a group", GroupModel, status=201, body=NewGroup, problems=[409])
REMOVE_GROUP = _groups("Remove a group; its members stay")

routes = [
    ApiRoute("GET", "/api/users", list_users, LIST_USERS),
    ApiRoute("PATCH", "/api/users", change_users, CHANGE_USERS),
    ApiRoute("GET", "/api/users/{id}", show_user, SHOW_USER),
    ApiRoute("PATCH", "/api/users/{id}", change_user, CHANGE_USER),
    ApiRoute("DELETE", "/api/users/{id}", remove_user, REMOVE_USER),
    ApiRoute("POST", "/api/users/{id}/reset-link", create_reset_link, CREATE_RESET_LINK),
    ApiRoute("GET", "/api/groups", list_groups, LIST_GROUPS),
    ApiRoute("POST", "/api/groups", create_group, CREATE_GROUP),
    ApiRoute("DELETE", "/api/groups/{name}", remove_group, REMOVE_GROUP),
]
