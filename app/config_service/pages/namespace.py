"""The page of a namespace: a form for its values, its history, its schema and its access."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.accounts.helpers import page, redirect_with_message
from app.config_service.api import mark_of, people, set_access, version_json
from app.config_service.bodies import Access
from app.config_service.editing import Values
from app.config_service.lifespan import ConfigState
from app.config_service.models import MAX_KEYS, OWN, Namespace, Right, Role, difference
from app.config_service.own_settings import HELP
from app.config_service.preconditions import Condition
from app.config_service.requests import LARGE_BODY, allowed
from app.config_service.schema_form import BadField, FormField, changes_of, form_fields_of
from app.web.body import form_fields, form_of, validated
from app.web.errors import BadRequest, Conflict, NotFound, PreconditionFailed, PreconditionNeeded, Unprocessable
from app.web.i18n import N_
from app.web.policy import PolicyRoute
from app.web.query import whole_number
from app.web.strict_json import BadJson, parse

SHOWN_VERSIONS = 50
REFUSED = (BadRequest, Conflict, PreconditionFailed, PreconditionNeeded, Unprocessable)


async def show_namespace(request: Request[ConfigState]) -> Response:
    snapshot, _, right = await allowed(request, Role.READ)
    return await _page(request, snapshot.namespace, right)


async def save_form(request: Request[ConfigState]) -> Response:
    """`POST /config/{ns}/values` with `seen`, `why` and a field `value.<key>` for each key of the schema."""
    snapshot, principal, right = await allowed(request, Role.WRITE)
    namespace = snapshot.namespace
    typed = {name: str(value) for name, value in (await form_of(request, MAX_KEYS)).items()}
    try:
        new, removed = changes_of(_fields(request, namespace, right), typed)
        await request.state["config_editor"].change(
            namespace.name,
            lambda values: {key: value for key, value in (values | new).items() if key not in removed},
            principal,
            typed.get("why", ""),
            _seen(typed),
        )
    except BadField as error:
        return await _page(request, namespace, right, error=str(error), typed=typed)
    except REFUSED as problem:
        return await _page(request, namespace, right, error=problem.detail, typed=typed)
    return await _saved(request, N_("The values have been saved."))


async def save_value(request: Request[ConfigState]) -> Response:
    """`POST /config/{ns}` with `key`, `value` (JSON), `seen`, `why`, and `secret` or `remove`."""
    snapshot, principal, right = await allowed(request, Role.WRITE)
    fields = {name: str(value) for name, value in (await form_of(request)).items()}
    key = fields.get("key", "")
    try:
        value = None if "remove" in fields else parse(fields.get("value", "").encode("utf-8", "replace"))

        def edited(values: Values) -> Values:
            rest = {name: each for name, each in values.items() if name != key}
            return rest if "remove" in fields else rest | {key: value}

        secrets = frozenset({key} if "secret" in fields else ())
        await request.state["config_editor"].change(
            snapshot.namespace.name, edited, principal, fields.get("why", ""), _seen(fields), secrets
        )
    except BadJson as error:
        return await _page(request, snapshot.namespace, right, error=f"value: {error}", typed=fields)
    except REFUSED as problem:
        return await _page(request, snapshot.namespace, right, error=problem.detail, typed=fields)
    return await _saved(request, N_("The value has been saved."))


async def roll_back(request: Request[ConfigState]) -> Response:
    """`POST /config/{ns}/rollback` with `version`, `seen` and `why`."""
    snapshot, principal, right = await allowed(request, Role.WRITE)
    fields = await form_fields(request, "version", "seen", "why")
    try:
        await request.state["config_editor"].rollback(
            snapshot.namespace.name, _version(fields["version"]), principal, fields["why"], _seen(fields)
        )
    except REFUSED as problem:
        return await _page(request, snapshot.namespace, right, error=problem.detail)
    return await _saved(request, N_("The version has been restored."))


def _seen(fields: Mapping[str, str]) -> Condition:
    """Refuses a form whose user saw another version."""
    return Condition(f'"{fields["seen"]}"' if fields.get("seen") else None)


async def save_schema(request: Request[ConfigState]) -> Response:
    """`POST /config/{ns}/schema` with `schema` (JSON; empty: none) and `seen`."""
    snapshot, _, right = await allowed(request, Role.MANAGE)
    fields = {name: str(value) for name, value in (await form_of(request)).items()}
    text = fields.get("schema", "")
    editor = request.state["config_editor"]
    try:
        document = parse(text.encode("utf-8", "replace")) if text.strip() else None
        await editor.update(snapshot.namespace.name, lambda now: editor.with_schema(now, document), _seen(fields))
    except BadJson as error:
        return await _page(request, snapshot.namespace, right, error=f"schema: {error}", typed={"schema": text})
    except REFUSED as problem:
        return await _page(request, snapshot.namespace, right, error=problem.detail, typed={"schema": text})
    return await _saved(request, N_("The schema has been saved."))


async def save_access(request: Request[ConfigState]) -> Response:
    """`POST /config/{ns}/access` with `user`, `role` (`none` takes it away), `secrets` and `seen`."""
    snapshot, _, right = await allowed(request, Role.MANAGE)
    fields = await form_fields(request, "user", "role", "secrets", "seen")
    users = await people(request, snapshot.namespace)
    users.pop(fields["user"], None)
    if fields["role"] != "none":
        users[fields["user"]] = {"role": fields["role"], "secrets": bool(fields["secrets"])}
    try:
        given = validated(Access, {"users": users})
        await set_access(request, snapshot.namespace, given, _seen(fields))
    except REFUSED as problem:
        return await _page(request, snapshot.namespace, right, error=problem.detail, typed=fields)
    return await _saved(request, N_("The roles have been saved."))


async def compare_versions(request: Request[ConfigState]) -> Response:
    """`GET /config/{ns}/compare?from=&to=`: what changed between two versions."""
    snapshot, _, right = await allowed(request, Role.READ)
    namespace, editor = snapshot.namespace, request.state["config_editor"]
    one, other = (_version(request.query_params.get(name, "")) for name in ("from", "to"))
    before, after = [await editor.at(namespace, version) for version in (one, other)]
    changes = []
    for each in difference(before, after):
        readable = right.secrets and editor.is_readable(each.before) and editor.is_readable(each.after)
        hidden = each.key in namespace.secret_keys and not readable
        sides = ["" if item is None or hidden else _text(editor.value(item)) for item in (each.before, each.after)]
        changes.append({"key": each.key, "before": sides[0], "after": sides[1], "secret": hidden})
    return await page(
        request, "config_service/compare.html", namespace=namespace, one=one, other=other, changes=changes
    )


async def _saved(request: Request[ConfigState], sentence: str) -> Response:
    return await redirect_with_message(request, f"/config/{request.path_params['ns']}", sentence)


async def _page(
    request: Request[ConfigState],
    namespace: Namespace,
    right: Right,
    error: str | None = None,
    typed: dict[str, str] | None = None,
) -> Response:
    editor = request.state["config_editor"]
    versions = await request.state["config_store"].history(namespace.name, None, SHOWN_VERSIONS)
    items = [
        (key, _text(editor.value(item)) if right.secrets or not item.secret else "", item.secret)
        for key, item in sorted(namespace.items.items())
    ]
    may_manage = right.role >= Role.MANAGE and namespace.name != OWN
    users = await people(request, namespace) if may_manage else {}
    return await page(
        request,
        "config_service/namespace.html",
        error=error,
        namespace=namespace,
        items=items,
        fields=_fields(request, namespace, right),
        setting_help=HELP if namespace.name == OWN else {},
        locked=_locked(request, namespace),
        typed=typed or {},
        may_write=right.role >= Role.WRITE,
        may_manage=may_manage,
        schema="" if namespace.schema is None else orjson.dumps(namespace.schema, option=orjson.OPT_INDENT_2).decode(),
        people=sorted(users.items()),
        names_mark=mark_of(users),
        versions=[_shown(await version_json(request, namespace, each, right)) for each in versions],
    )


def _fields(request: Request[ConfigState], namespace: Namespace, right: Right) -> list[FormField]:
    editor = request.state["config_editor"]
    hidden = [key for key in namespace.secret_keys if not right.secrets]
    values = editor.plain(namespace.items, secrets=right.secrets)
    return form_fields_of(namespace.schema, values, hidden, _locked(request, namespace))


def _locked(request: Request[ConfigState], namespace: Namespace) -> list[str]:
    """Settings that a file, the environment or the command line locks: in Tallygate's own namespace alone."""
    return sorted(request.state["live_settings"].locked()) if namespace.name == OWN else []


def _version(text: str) -> int:
    version = whole_number(text)
    if version is None:
        raise NotFound
    return version


def _shown(version: dict[str, Any]) -> dict[str, Any]:
    changes = [
        {"secret": False} | each | {"before": _text(each.get("before")), "after": _text(each.get("after"))}
        for each in version["changes"]
    ]
    return version | {"changes": changes}


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


routes: list[BaseRoute] = [
    Route("/config/{ns}", show_namespace, methods=["GET"]),
    PolicyRoute("/config/{ns}", save_value, methods=["POST"], policy=LARGE_BODY),
    PolicyRoute("/config/{ns}/values", save_form, methods=["POST"], policy=LARGE_BODY),
    Route("/config/{ns}/rollback", roll_back, methods=["POST"]),
    Route("/config/{ns}/schema", save_schema, methods=["POST"]),
    Route("/config/{ns}/access", save_access, methods=["POST"]),
    Route("/config/{ns}/compare", compare_versions, methods=["GET"]),
]
