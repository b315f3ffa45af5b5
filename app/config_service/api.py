"""The API of the configuration service."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.accounts.guards import admin_required
from app.accounts.models import User
from app.accounts.secret import digest
from app.config_service.bodies import Access, NewNamespace, Rollback
from app.config_service.editing import Values
from app.config_service.lifespan import ConfigState
from app.config_service.merge_patch import merge_patch
from app.config_service.models import Item, Namespace, Right, Role, Version
from app.config_service.preconditions import Condition
from app.config_service.principal import Principal, right_of
from app.config_service.requests import MERGE_PATCH, allowed, condition_of, etag, flag, tagged, why
from app.web.body import json_body, json_object, json_value
from app.web.errors import BadRequest, NotFound
from app.web.query import query_number
from app.web.responses import json_response

MAX_HISTORY = 200


@admin_required
async def create_namespace(request: Request[ConfigState], user: User) -> Response:
    namespace = await new_namespace(request, user, await json_body(request, NewNamespace))
    return json_response(described(namespace, Right(Role.MANAGE, secrets=True)), 201)


async def new_namespace(request: Request[ConfigState], user: User, new: NewNamespace) -> Namespace:
    """Raises BadRequest, Conflict."""
    by = Principal(user.id, user.name, user.is_admin)
    return await request.state["config_editor"].create(new.name, new.json_schema, new.require_if_match, by)


async def list_namespaces(request: Request[ConfigState]) -> Response:
    """`GET /api/config`: the namespaces that the user or service may read."""
    principal = await request.state["config_principals"].get(request.scope)
    return json_response({"namespaces": [described(each, right) for each, right in await visible(request, principal)]})


async def visible(request: Request[ConfigState], principal: Principal) -> list[tuple[Namespace, Right]]:
    found = []
    for name in await request.state["config_store"].names():
        snapshot = await request.state["config_namespaces"].get(name)
        right = principal.right(snapshot.namespace) if snapshot is not None else Right()
        if snapshot is not None and right.role:
            found.append((snapshot.namespace, right))
    return found


async def patch_config(request: Request[ConfigState]) -> Response:
    snapshot, principal, _ = await allowed(request, Role.WRITE)
    document = await json_object(request, MERGE_PATCH)
    namespace, changed = await request.state["config_editor"].change(
        snapshot.namespace.name,
        lambda values: merge_patch(values, document),
        principal,
        why(request),
        condition_of(request),
    )
    return _changed(namespace, changed)


async def config_value(request: Request[ConfigState]) -> Response:
    snapshot, _, right = await allowed(request, Role.READ)
    namespace = snapshot.namespace
    item = namespace.items.get(request.path_params["key"])
    if item is None or (item.secret and not right.secrets):
        raise NotFound
    return tagged(request, namespace.tags[0], request.state["config_editor"].value(item))


async def put_config_value(request: Request[ConfigState]) -> Response:
    snapshot, principal, _ = await allowed(request, Role.WRITE)
    key, value = request.path_params["key"], await json_value(request)
    secrets = frozenset({key}) if flag(request, "secret") else frozenset()
    namespace, changed = await request.state["config_editor"].change(
        snapshot.namespace.name,
        lambda values: values | {key: value},
        principal,
        why(request),
        condition_of(request, key),
        secrets,
    )
    return _changed(namespace, changed)


async def delete_config_value(request: Request[ConfigState]) -> Response:
    snapshot, principal, _ = await allowed(request, Role.WRITE)
    key = request.path_params["key"]

    def without(values: Values) -> Values:
        if key not in values:
            raise NotFound
        return {name: value for name, value in values.items() if name != key}

    namespace, _ = await request.state["config_editor"].change(
        snapshot.namespace.name, without, principal, why(request), condition_of(request)
    )
    return Response(status_code=204, headers=etag(namespace.tags[0]))


async def config_schema(request: Request[ConfigState]) -> Response:
    """`GET /api/config/{ns}/schema`: null where there is none."""
    snapshot, _, _ = await allowed(request, Role.READ)
    return tagged(request, snapshot.namespace.tags[1], snapshot.namespace.schema)


async def put_config_schema(request: Request[ConfigState]) -> Response:
    """`PUT /api/config/{ns}/schema`: null removes it."""
    snapshot, _, _ = await allowed(request, Role.MANAGE)
    document = await json_value(request)
    editor, condition = request.state["config_editor"], condition_of(request)
    namespace = await editor.update(snapshot.namespace.name, lambda now: editor.with_schema(now, document), condition)
    return Response(status_code=204, headers=etag(namespace.tags[1]))


async def config_access(request: Request[ConfigState]) -> Response:
    snapshot, _, _ = await allowed(request, Role.MANAGE)
    users = await people(request, snapshot.namespace)
    response = json_response({"users": users})
    response.headers.update(etag(f"{snapshot.namespace.tags[1]}.{mark_of(users)}"))
    return response


async def put_config_access(request: Request[ConfigState]) -> Response:
    """`PUT /api/config/{ns}/access`: replaces all roles."""
    snapshot, _, _ = await allowed(request, Role.MANAGE)
    given = await json_body(request, Access)
    namespace = await set_access(request, snapshot.namespace, given, condition_of(request))
    mark = mark_of(await people(request, namespace))
    return Response(status_code=204, headers=etag(f"{namespace.tags[1]}.{mark}"))


async def set_access(
    request: Request[ConfigState], namespace: Namespace, given: Access, condition: Condition
) -> Namespace:
    """Raises BadRequest, Conflict, PreconditionFailed, PreconditionNeeded."""
    if condition.if_match is not None:  # a tag with another mark matches nothing
        mark = mark_of(await people(request, namespace))
        condition = replace(condition, if_match=condition.if_match.replace(f'.{mark}"', '"'))
    access = {}
    for user, grant in given.users.items():
        person = await request.state["accounts"].by_name(user)
        if person is None:
            raise BadRequest(f"users: {user[:64]}: there is no such user", field="users")
        access[person.id] = right_of(grant)
    return await request.state["config_editor"].update(
        namespace.name, lambda now: replace(now, access=access), condition
    )


def mark_of(names: Iterable[str]) -> str:
    """The part of an entity tag that changes with the names, which are in the order of the users' ids."""
    return digest("\0".join(names))[:8]


async def people(request: Request[ConfigState], namespace: Namespace) -> dict[str, dict[str, object]]:
    """Roles by the users' names, in the order of their ids."""
    found = {}
    for user_id, right in sorted(namespace.access.items()):
        user = await request.state["accounts"].by_id(user_id)
        if user is not None:
            found[user.name] = right.dump()
    return found


async def config_history(request: Request[ConfigState]) -> Response:
    snapshot, _, right = await allowed(request, Role.READ)
    limit = query_number(request, "limit", 1, MAX_HISTORY) or 50
    before = query_number(request, "before")
    versions = await request.state["config_store"].history(snapshot.namespace.name, before, limit)
    found = [await version_json(request, snapshot.namespace, each, right) for each in versions]
    return json_response({"versions": found})


async def version_json(
    request: Request[ConfigState], namespace: Namespace, version: Version, right: Right
) -> dict[str, Any]:
    editor = request.state["config_editor"]

    def side(item: Item | None) -> Any:
        return None if item is None else editor.value(item)

    changes: list[dict[str, Any]] = []
    for change in version.changes:
        secret = change.key in namespace.secret_keys
        readable = right.secrets and editor.is_readable(change.before) and editor.is_readable(change.after)
        if secret and not readable:
            changes.append({"key": change.key, "secret": True})
        else:
            change_json = {"key": change.key, "before": side(change.before), "after": side(change.after)}
            changes.append(change_json | ({"secret": True} if secret else {}))
    by = await name_of(request, version.by)
    return {"version": version.version, "by": by, "at": version.at, "why": version.why, "changes": changes}


async def name_of(request: Request[ConfigState], by: str) -> str:
    """The present name of the author of a change; the id if the user is removed."""
    user = await request.state["accounts"].by_id(by) if ":" not in by else None
    return user.name if user is not None else by.removeprefix("service:")


async def roll_back_config(request: Request[ConfigState]) -> Response:
    snapshot, principal, _ = await allowed(request, Role.WRITE)
    to = await json_body(request, Rollback)
    namespace, changed = await request.state["config_editor"].rollback(
        snapshot.namespace.name, to.version, principal, to.why, condition_of(request)
    )
    return _changed(namespace, changed)


def described(namespace: Namespace, right: Right) -> dict[str, Any]:
    return {
        "name": namespace.name,
        "version": namespace.version,
        "keys": len(namespace.items),
        "role": right.role.name.lower(),
        "schema": namespace.schema,
        "require_if_match": namespace.require_if_match,
    }


def _changed(namespace: Namespace, changed: list[str]) -> Response:
    response = json_response({"version": namespace.version, "changed": changed})
    response.headers.update(etag(namespace.tags[0]))
    return response
