"""Pages of webhooks, for administrators: list, create, deliveries."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.guards import admin_required
from app.accounts.helpers import flash_message, page, see_other
from app.accounts.models import User
from app.events.catalogue import EVENTS
from app.hooks import editing
from app.hooks.api import in_order, send_again
from app.hooks.lifespan import HooksState
from app.web.body import form_fields
from app.web.errors import BadRequest, Conflict
from app.web.i18n import N_

WEBHOOKS = "/admin/webhooks"
SHOWN = 50


@admin_required
async def listed(request: Request[HooksState], admin: User) -> Response:
    """`GET /admin/webhooks`."""
    return await _listed(request)


@admin_required
async def create(request: Request[HooksState], admin: User) -> Response:
    """`POST /admin/webhooks` with `url` and `events`; the page shows the secret, once."""
    fields = await form_fields(request, "url", "events")
    try:
        _, secret = await editing.create(
            request, admin, {"url": fields["url"].strip(), "events": fields["events"].split()}
        )
    except (BadRequest, Conflict) as error:
        return await _listed(request, error=str(error.detail))
    return await _listed(request, secret=secret)


@admin_required
async def show(request: Request[HooksState], admin: User) -> Response:
    """`GET /admin/webhooks/{id}`: the deliveries with their attempts."""
    return await _shown(request)


@admin_required
async def act(request: Request[HooksState], admin: User) -> Response:
    """`POST /admin/webhooks/{id}` with `action`: test, enable, disable, remove, send with a `delivery`, save with the
    form's fields, secret (makes a new one), or remove-old-secret.
    """
    fields = await form_fields(request, "action", "delivery", "url", "events", "wechat", "reply")
    back = f"{WEBHOOKS}/{request.path_params['id']}"
    match fields["action"]:
        case "test":
            await editing.test(request)
            await flash_message(request, N_("The test has been sent."))
        case "enable" | "disable":
            await editing.change(request, {"enabled": fields["action"] == "enable"})
        case "send":
            await send_again(request, fields["delivery"])
            await flash_message(request, N_("The delivery is sent again."))
        case "save":
            try:
                await editing.change(request, _changes(fields))
            except BadRequest as error:
                return await _shown(request, error=str(error.detail))
            await flash_message(request, N_("The webhook has been saved."))
        case "secret":
            return await _shown(request, secret=await editing.new_key(request))
        case "remove-old-secret":
            await editing.remove_old_key(request)
        case "remove":
            await editing.remove(request)
            back = WEBHOOKS
        case _:
            raise BadRequest("action: there is no such action", field="action")
    return see_other(back)


def _changes(fields: dict[str, str]) -> dict[str, Any]:
    lists = {name: fields[name].split() for name in ("events", "wechat")}
    return {"url": fields["url"].strip(), "reply": bool(fields["reply"])} | lists


async def _shown(request: Request[HooksState], error: str | None = None, secret: str | None = None) -> Response:
    webhook = await editing.find(request)
    return await page(
        request,
        "hooks/webhook.html",
        status_code=400 if error else 200,
        error=error,
        webhook=webhook,
        secret=secret,
        deliveries=await request.state["hooks_store"].deliveries(webhook.id, None, SHOWN),
    )


async def _listed(request: Request[HooksState], error: str | None = None, secret: str | None = None) -> Response:
    store = request.state["hooks_store"]
    count, size = await store.log_size()
    return await page(
        request,
        "hooks/webhooks.html",
        status_code=400 if error else 200,
        error=error,
        webhooks=in_order(await store.webhooks()),
        secret=secret,
        events=list(EVENTS),
        kept=count,
        kilobytes=size // 1024,
        settings=request.state["settings"],
    )


routes = [
    Route(WEBHOOKS, listed, methods=["GET"]),
    Route(WEBHOOKS, create, methods=["POST"]),
    Route("/admin/webhooks/{id}", show, methods=["GET"]),
    Route("/admin/webhooks/{id}", act, methods=["POST"]),
]
