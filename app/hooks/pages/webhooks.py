"""Pages of webhooks, for administrators: list, create, deliveries."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.accounts.asking import Question, ask
from app.accounts.guards import admin_required
from app.accounts.helpers import flash_message, page, see_other
from app.accounts.models import User
from app.accounts.shown_once import redirect_with_secret, shown_secret
from app.accounts.sign_in.reauthentication import confirm
from app.events.catalogue import EVENTS
from app.hooks import editing
from app.hooks.api import send_again
from app.hooks.bodies import NewWebhook, WebhookChange
from app.hooks.lifespan import HooksState
from app.web.body import form_fields, validated
from app.web.errors import BadRequest, Conflict, NotFound
from app.web.i18n import N_

WEBHOOKS = "/admin/webhooks"
REASON = N_("You are about to change a webhook.")
QUESTIONS = {
    "remove": Question(
        N_("Remove the webhook to %(name)s?"),
        N_("Its deliveries are gone for ever, also those that still wait."),
        N_("Remove the webhook"),
    ),
    "secret": Question(
        N_("Make a new secret for the webhook to %(name)s?"),
        N_("The present secret signs beside it. An older one no longer does."),
        N_("Make a new secret"),
        danger=False,
    ),
    "remove-old-secret": Question(
        N_("Remove the old secret of the webhook to %(name)s?"),
        N_("A receiver that only knows the old secret refuses what is delivered from now on."),
        N_("Remove the old secret"),
    ),
}
MAX_SHOWN_DELIVERIES = 50


@admin_required
async def list_webhooks(request: Request[HooksState], admin: User) -> Response:
    return await _list_page(request)


@admin_required
@confirm(REASON, WEBHOOKS)
async def create_webhook(request: Request[HooksState], admin: User) -> Response:
    """`POST /admin/webhooks` with `url` and `events`; the page shows the secret, once."""
    fields = await form_fields(request, "url", "events")
    try:
        new = validated(NewWebhook, {"url": fields["url"].strip(), "events": fields["events"].split()})
        webhook, secret = await editing.create(request, admin, new)
    except (BadRequest, Conflict) as error:
        return await _list_page(request, error=str(error.detail))
    return await redirect_with_secret(request, admin, f"{WEBHOOKS}/{webhook.id}", secret)


@admin_required
async def show_webhook(request: Request[HooksState], admin: User) -> Response:
    """`GET /admin/webhooks/{id}`: the deliveries with their attempts."""
    return await _shown(request, admin)


@admin_required
async def ask_to_change_webhook(request: Request[HooksState], admin: User) -> Response:
    """`GET /admin/webhooks/{id}/{action}`: remove, secret or remove-old-secret."""
    webhook, action = await editing.find(request), request.path_params["action"]
    if action not in QUESTIONS:
        raise NotFound
    path = f"{WEBHOOKS}/{webhook.id}"
    return await ask(request, QUESTIONS[action], to=path, back=path, name=webhook.url, fields={"action": action})


@admin_required
@confirm(REASON, WEBHOOKS)
async def change_webhook(request: Request[HooksState], admin: User) -> Response:
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
            await editing.change(request, WebhookChange(enabled=fields["action"] == "enable"))
        case "send":
            await send_again(request, fields["delivery"])
            await flash_message(request, N_("The delivery is sent again."))
        case "save":
            try:
                await editing.change(request, _changes(fields))
            except BadRequest as error:
                return await _shown(request, admin, error=str(error.detail))
            await flash_message(request, N_("The webhook has been saved."))
        case "secret":
            return await redirect_with_secret(request, admin, back, await editing.new_key(request))
        case "remove-old-secret":
            await editing.remove_old_key(request)
        case "remove":
            await editing.remove(request)
            back = WEBHOOKS
        case _:
            raise BadRequest("action: there is no such action", field="action")
    return see_other(back)


def _changes(fields: dict[str, str]) -> WebhookChange:
    """Raises BadRequest."""
    lists = {name: fields[name].split() for name in ("events", "wechat")}
    return validated(WebhookChange, {"url": fields["url"].strip(), "reply": bool(fields["reply"])} | lists)


async def _shown(request: Request[HooksState], admin: User, error: str | None = None) -> Response:
    webhook = await editing.find(request)
    return await page(
        request,
        "hooks/webhook.html",
        error=error,
        webhook=webhook,
        new_secret=await shown_secret(request, admin),
        deliveries=await request.state["hooks_store"].deliveries(webhook.id, None, MAX_SHOWN_DELIVERIES),
    )


async def _list_page(request: Request[HooksState], error: str | None = None) -> Response:
    store = request.state["hooks_store"]
    count, size = await store.log_size()
    return await page(
        request,
        "hooks/webhooks.html",
        error=error,
        webhooks=list((await store.webhooks()).values()),
        events=list(EVENTS),
        kept=count,
        kilobytes=size // 1024,
        settings=request.state["settings"],
    )


routes = [
    Route(WEBHOOKS, list_webhooks, methods=["GET"]),
    Route(WEBHOOKS, create_webhook, methods=["POST"]),
    Route("/admin/webhooks/{id}", show_webhook, methods=["GET"]),
    Route("/admin/webhooks/{id}", change_webhook, methods=["POST"]),
    Route("/admin/webhooks/{id}/{action}", ask_to_change_webhook, methods=["GET"]),
]
