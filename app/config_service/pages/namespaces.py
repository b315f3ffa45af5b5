"""The page of all namespaces."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.guards import admin_required, sign_in_required
from app.accounts.helpers import page, see_other
from app.accounts.models import User
from app.config_service.api import new_namespace, visible
from app.config_service.bodies import NewNamespace
from app.config_service.lifespan import ConfigState
from app.web.body import form_fields, validated
from app.web.errors import BadRequest, Conflict


@sign_in_required
async def list_namespaces(request: Request[ConfigState], user: User) -> Response:
    return await _list_page(request)


@admin_required
async def create_namespace(request: Request[ConfigState], user: User) -> Response:
    """`POST /config` with `name`."""
    fields = await form_fields(request, "name")
    try:
        namespace = await new_namespace(request, user, validated(NewNamespace, fields))
    except (BadRequest, Conflict) as error:
        return await _list_page(request, error=str(error.detail))
    return see_other(f"/config/{namespace.name}")


async def _list_page(request: Request[ConfigState], error: str | None = None) -> Response:
    principal = await request.state["config_principals"].get(request.scope)
    found = await visible(request, principal)
    return await page(
        request,
        "config_service/namespaces.html",
        error=error,
        namespaces=[(each.name, each.version, len(each.items)) for each, _ in found],
        may_create=principal.is_admin,
    )


routes = [
    Route("/config", list_namespaces, methods=["GET"]),
    Route("/config", create_namespace, methods=["POST"]),
]
