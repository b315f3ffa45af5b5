"""Pages of the configuration service: namespaces, the values of one, its history."""

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.guards import admin_required, sign_in_required
from app.accounts.helpers import flash_message, page, see_other
from app.accounts.models import User
from app.config_service.api import create_namespace, version_json, visible
from app.config_service.editing import Values
from app.config_service.lifespan import ConfigState
from app.config_service.models import OWN, Namespace, Right, Role
from app.config_service.principal import ALL
from app.config_service.requests import allowed
from app.config_service.strict_json import BadJson, parse
from app.web.body import form_fields
from app.web.errors import BadRequest, Conflict, NotFound, PreconditionFailed, Unprocessable
from app.web.i18n import N_

SHOWN_VERSIONS = 50


@sign_in_required
async def listed(request: Request[ConfigState], user: User) -> Response:
    """`GET /config`."""
    return await _listed(request)


@admin_required
async def create(request: Request[ConfigState], user: User) -> Response:
    """`POST /config` with `name`."""
    fields = await form_fields(request, "name")
    try:
        namespace = await create_namespace(request, user, fields["name"], None, None)
    except (BadRequest, Conflict) as error:
        return await _listed(request, error=str(error.detail))
    return see_other(f"/config/{namespace.name}")


async def show(request: Request[ConfigState]) -> Response:
    """`GET /config/{ns}`."""
    snapshot, _, right = await allowed(request, Role.READ)
    return await _namespace(request, snapshot.namespace, right)


async def change(request: Request[ConfigState]) -> Response:
    """`POST /config/{ns}` with `key`, `value` (JSON), `why`, and `secret` or `remove`."""
    snapshot, principal, right = await allowed(request, Role.WRITE)
    fields = await form_fields(request, "key", "value", "why", "secret", "remove")
    key = fields["key"]
    try:
        value = None if fields["remove"] else parse(fields["value"].encode("utf-8", "replace"))

        def edited(values: Values) -> Values:
            rest = {name: each for name, each in values.items() if name != key}
            return rest if fields["remove"] else rest | {key: value}

        secrets = frozenset({key}) if fields["secret"] else frozenset()
        await request.state["config_editor"].change(
            snapshot.namespace.name, edited, principal, fields["why"], secrets=secrets
        )
    except BadJson as error:
        return await _namespace(request, snapshot.namespace, right, error=f"value: {error}", values=fields)
    except (BadRequest, Unprocessable, PreconditionFailed) as error:
        return await _namespace(request, snapshot.namespace, right, error=str(error.detail), values=fields)
    await flash_message(request, N_("The value has been saved."))
    return see_other(f"/config/{snapshot.namespace.name}")


async def rollback(request: Request[ConfigState]) -> Response:
    """`POST /config/{ns}/rollback` with `version` and `why`."""
    snapshot, principal, right = await allowed(request, Role.WRITE)
    fields = await form_fields(request, "version", "why")
    version = fields["version"]
    if not (version.isascii() and version.isdigit() and len(version) < 16):
        raise NotFound
    try:
        await request.state["config_editor"].rollback(snapshot.namespace.name, int(version), principal, fields["why"])
    except (BadRequest, Unprocessable) as error:
        return await _namespace(request, snapshot.namespace, right, error=str(error.detail))
    await flash_message(request, N_("The version has been brought back."))
    return see_other(f"/config/{snapshot.namespace.name}")


async def _listed(request: Request[ConfigState], error: str | None = None) -> Response:
    principal = await request.state["config_principals"].get(request.scope)
    found = await visible(request, principal)
    own = await request.state["config_namespaces"].get(OWN)
    if principal.is_admin and own is not None and OWN not in [each.name for each, _ in found]:
        found.append((own.namespace, ALL))
    return await page(
        request,
        "config_service/namespaces.html",
        status_code=400 if error else 200,
        error=error,
        namespaces=[(each.name, each.version, len(each.items)) for each, _ in found],
        may_create=principal.is_admin,
    )


async def _namespace(
    request: Request[ConfigState],
    namespace: Namespace,
    right: Right,
    error: str | None = None,
    values: dict[str, str] | None = None,
) -> Response:
    editor = request.state["config_editor"]
    versions = await request.state["config_store"].history(namespace.name, None, SHOWN_VERSIONS)
    items = [
        (key, _text(editor.value(item)) if right.secrets or not item.secret else "", item.secret)
        for key, item in sorted(namespace.items.items())
    ]
    return await page(
        request,
        "config_service/namespace.html",
        status_code=400 if error else 200,
        error=error,
        namespace=namespace,
        items=items,
        sent=values or {},
        may_write=right.role >= Role.WRITE,
        versions=[_shown(await version_json(request, namespace, each, right)) for each in versions],
    )


def _shown(version: dict[str, Any]) -> dict[str, Any]:
    changes = [
        {"secret": False} | each | {"before": _text(each.get("before")), "after": _text(each.get("after"))}
        for each in version["changes"]
    ]
    return version | {"changes": changes}


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


routes = [
    Route("/config", listed, methods=["GET"]),
    Route("/config", create, methods=["POST"]),
    Route("/config/{ns}", show, methods=["GET"]),
    Route("/config/{ns}", change, methods=["POST"]),
    Route("/config/{ns}/rollback", rollback, methods=["POST"]),
]
