"""The API of the administration: users and groups."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from app.accounts.administration import actions
from app.accounts.administration.user_overview import UserOverview, overview, overviews
from app.accounts.api import UserModel, user_json
from app.accounts.guards import admin_required, fresh_or_token
from app.accounts.lifespan import AccountState
from app.accounts.models import User
from app.accounts.users.profile import BadProfile, display_name_of, email_of, group_of, groups_of
from app.accounts.users.profile_store import EmailTaken
from app.accounts.users.search import UserFilter
from app.accounts.users.store import LastAdmin
from app.web.body import Body, Text, json_body, json_fields
from app.web.errors import BadRequest, Conflict, NotFound
from app.web.i18n import N_
from app.web.openapi import COUNT, FLAG, NUMBER, TEXT, ApiRoute, Operation, array, nullable, obj, schema_of
from app.web.responses import json_response

PAGE_SIZE = 50


class ManagedUser(UserModel):
    """`last_seen` is null for who never signed in; `ways` to sign in are `password`, `passkey`, `totp` and
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


MANAGED = schema_of(ManagedUser, {}, "serialization")
GROUP = obj(name=TEXT, created=NUMBER, members=COUNT)
GROUP_NAME = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9.:@_-]{0,63}$"}
EMAIL = {"type": "string", "pattern": "^([a-z0-9.]{1,64}@[a-z0-9]{1,63}\\.[a-z]{2,9})?$", "description": "Empty: none."}
BACK = "/admin/users"


@admin_required
async def list_users(request: Request[AccountState], admin: User) -> Response:
    """`GET /api/users?q=&role=&disabled=&group=&never_signed_in=&after=`."""
    query = request.query_params
    found = await request.state["user_search"].find(UserFilter.from_query(query), query.get("after"), PAGE_SIZE)
    users = [_managed(each) for each in await overviews(request, found.users)]
    return json_response({"users": users, "total": found.total, "after": found.after})


@admin_required
async def change_users(request: Request[AccountState], admin: User) -> Response:
    """`PATCH /api/users`: the same change of many users."""
    await fresh_or_token(request, BACK)
    body = await json_body(request, ChangeUsers)
    try:
        join, leave = (group_of(name) if name else None for name in (body.join, body.leave))
    except BadProfile as bad:
        raise BadRequest(f"join, leave: {bad.reason}", field="join" if body.join else "leave") from None
    change = actions.BulkChange(body.disabled, join, leave)
    left = await actions.change_many(request, admin, body.users, change)
    return json_response({"unchanged": left})


@admin_required
async def show_user(request: Request[AccountState], admin: User) -> Response:
    """`GET /api/users/{id}`."""
    return json_response(_managed(await overview(request, await actions.subject(request))))


@admin_required
async def change_user(request: Request[AccountState], admin: User) -> Response:
    """`PATCH /api/users/{id}`: the members that are given. All are checked before the first is stored."""
    await fresh_or_token(request, BACK)
    subject = await actions.subject(request)
    fields = await json_fields(
        request,
        {},
        {
            "display_name": str,
            "email": str,
            "email_verified": bool,
            "groups": list,
            "is_admin": bool,
            "disabled": bool,
        },
    )
    try:
        await actions.change(request, admin, subject, _checked(fields))
    except LastAdmin:
        raise Conflict(N_("This is the last administrator.")) from None
    except EmailTaken:
        raise Conflict(N_("Another account has verified this address.")) from None
    return json_response(_managed(await overview(request, await actions.subject(request))))


@admin_required
async def remove_user(request: Request[AccountState], admin: User) -> Response:
    """`DELETE /api/users/{id}`."""
    await fresh_or_token(request, BACK)
    subject = await actions.subject(request)
    try:
        await actions.remove(request, admin, subject)
    except LastAdmin:
        raise Conflict(N_("This is the last administrator.")) from None
    return Response(status_code=204)


@admin_required
async def create_reset_link(request: Request[AccountState], admin: User) -> Response:
    """`POST /api/users/{id}/reset-link`: the response holds the link, which is never shown again."""
    await fresh_or_token(request, BACK)
    url, expires = await actions.reset_link(request, admin, await actions.subject(request))
    return json_response({"url": url, "expires": expires}, 201)


@admin_required
async def list_groups(request: Request[AccountState], admin: User) -> Response:
    """`GET /api/groups`."""
    return json_response([asdict(group) for group in await request.state["users"].groups()])


@admin_required
async def create_group(request: Request[AccountState], admin: User) -> Response:
    """`POST /api/groups` with `name`."""
    await fresh_or_token(request, BACK)
    fields = await json_fields(request, {"name": str})
    try:
        name = group_of(fields["name"])
    except BadProfile as bad:
        raise BadRequest(f"name: {bad.reason}", field="name") from None
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


def _checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The given members in normal form. Raises BadRequest."""
    checked = {name: value for name, value in fields.items() if value is not None}
    if not all(isinstance(name, str) for name in checked.get("groups", ())):
        raise BadRequest("groups: must be a list of texts", field="groups")
    try:
        if "display_name" in checked:
            checked["display_name"] = display_name_of(checked["display_name"])
        if "email" in checked:
            checked["email"] = email_of(checked["email"])
        if "groups" in checked:
            checked["groups"] = groups_of(checked["groups"])
    except BadProfile as bad:
        raise BadRequest(f"{bad.field}: {bad.reason}", field=bad.field) from None
    return checked


def _managed(seen: UserOverview) -> dict[str, Any]:
    managed = {"disabled": seen.user.disabled, "last_seen": seen.last_seen, "ways": seen.ways}
    return user_json(seen.user) | managed


LIST_USERS = Operation(
    summary="The users, in order of their names",
    tag="users",
    query={
        "q": "A part of a name or an e-mail address.",
        "role": "`admin` or `user`.",
        "disabled": "`true` or `false`.",
        "group": "The name of a group.",
        "never_signed_in": "`true`: only who never signed in.",
        "after": "The cursor of the next page.",
    },
    responses={
        200: (
            "A page of users; `total` is null where there are more users than one request looks at.",
            obj(users=array(MANAGED), total=nullable(COUNT), after=nullable(TEXT)),
        )
    },
    problems=[403],
    guarded=True,
)
CHANGE_USERS = Operation(
    summary="Disable or enable up to 50 users, or change a group of theirs",
    tag="users",
    body=ChangeUsers,
    responses={200: ("Ids of users that stay as they are.", obj(unchanged=array(TEXT)))},
    guarded=True,
)
SHOW_USER = Operation(
    summary="One user",
    tag="users",
    parameters={"id": "The user's id."},
    responses={200: ("The user.", MANAGED)},
    problems=[403, 404],
    guarded=True,
)
CHANGE_USER = Operation(
    summary="Change a user: the members that are given",
    tag="users",
    parameters={"id": "The user's id."},
    body={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "display_name": nullable({"type": "string", "pattern": "^[A-Za-z ]{0,100}$"}),
            "email": nullable(EMAIL),
            "email_verified": nullable({"type": "boolean", "description": "Whether the address is the user's."}),
            "groups": nullable(array(GROUP_NAME) | {"maxItems": 100}),
            "is_admin": nullable(FLAG),
            "disabled": nullable(FLAG),
        },
    },
    responses={200: ("The user.", MANAGED)},
    problems=[404, 409],
    guarded=True,
)
REMOVE_USER = Operation(
    summary="Remove a user with everything that belongs to it; audit entries stay",
    tag="users",
    parameters={"id": "The user's id."},
    responses={204: ("Removed.", None)},
    problems=[404, 409],
    guarded=True,
)
CREATE_RESET_LINK = Operation(
    summary="Create a link that sets a user's password once, within a day, and ends the user's sessions",
    tag="users",
    parameters={"id": "The user's id."},
    responses={201: ("The link, shown this once.", obj(url=TEXT, expires=NUMBER))},
    problems=[404],
    guarded=True,
)
LIST_GROUPS = Operation(
    summary="The groups", tag="groups", responses={200: ("The groups.", array(GROUP))}, problems=[403], guarded=True
)
CREATE_GROUP = Operation(
    summary="Create a group",
    tag="groups",
    body=obj(name=GROUP_NAME),
    responses={201: ("The group.", GROUP)},
    problems=[409],
    guarded=True,
)
REMOVE_GROUP = Operation(
    summary="Remove a group; its members stay",
    tag="groups",
    parameters={"name": "The group's name."},
    responses={204: ("Removed.", None)},
    problems=[404],
    guarded=True,
)

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
