"""The API of events and webhooks. Webhooks are for administrators."""

from starlette.requests import Request
from starlette.responses import Response

from app.accounts.guards import admin_required
from app.accounts.models import User
from app.events.catalogue import EVENTS
from app.hooks import editing
from app.hooks.bodies import DeliveryModel, NewWebhook, SendSince, WebhookChange, WebhookModel
from app.hooks.lifespan import HooksState
from app.web.body import json_body
from app.web.errors import NotFound
from app.web.query import query_number, whole_number
from app.web.responses import json_response

MAX_DELIVERIES = 100


async def events(request: Request[HooksState]) -> Response:
    told = [
        {"name": name, "schema": event.schema_of_data(), "example": event.example().model_dump(mode="json")}
        for name, event in EVENTS.items()
    ]
    return json_response({"events": told})


@admin_required
async def create_webhook(request: Request[HooksState], user: User) -> Response:
    """`POST /api/webhooks`: the secret is shown this once."""
    webhook, secret = await editing.create(request, user, await json_body(request, NewWebhook))
    return json_response(WebhookModel.model_validate(webhook).model_dump() | {"secret": secret}, 201)


@admin_required
async def list_webhooks(request: Request[HooksState], _: User) -> Response:
    found = await request.state["hooks_store"].webhooks()
    return json_response({"webhooks": [WebhookModel.model_validate(each) for each in found.values()]})


@admin_required
async def change_webhook(request: Request[HooksState], _: User) -> Response:
    return json_response(
        WebhookModel.model_validate(await editing.change(request, await json_body(request, WebhookChange)))
    )


@admin_required
async def remove_webhook(request: Request[HooksState], _: User) -> Response:
    await editing.remove(request)
    return Response(status_code=204)


@admin_required
async def send_test_event(request: Request[HooksState], _: User) -> Response:
    return json_response({"id": await editing.test(request)}, 202)


@admin_required
async def new_webhook_secret(request: Request[HooksState], _: User) -> Response:
    return json_response({"secret": await editing.new_key(request)}, 201)


@admin_required
async def remove_webhook_secret(request: Request[HooksState], _: User) -> Response:
    await editing.remove_old_key(request)
    return Response(status_code=204)


@admin_required
async def webhook_deliveries(request: Request[HooksState], _: User) -> Response:
    webhook = await editing.find(request)
    before, limit = query_number(request, "before"), query_number(request, "limit")
    found = await request.state["hooks_store"].deliveries(webhook.id, before, min(limit or 50, MAX_DELIVERIES))
    return json_response({"deliveries": [DeliveryModel.model_validate(each) for each in found]})


@admin_required
async def send_webhook_delivery(request: Request[HooksState], _: User) -> Response:
    """`POST /api/webhooks/{id}/deliveries/{delivery}/send`, by the delivery's id or its sequence number."""
    await send_again(request, request.path_params["delivery"])
    return Response(status_code=202)


@admin_required
async def send_webhook_since(request: Request[HooksState], _: User) -> Response:
    webhook, body = await editing.find_enabled(request), await json_body(request, SendSince)
    number = await request.state["hooks_store"].send_since(webhook, body.since, request.state["hooks_clock"]())
    request.state["hooks_delivery"].wake()
    return json_response({"deliveries": number}, 202)


async def send_again(request: Request[HooksState], name: str) -> None:
    """Raises NotFound for an unknown or expired delivery."""
    webhook, store = await editing.find_enabled(request), request.state["hooks_store"]
    sequence = whole_number(name)
    if sequence is None:
        recent = await store.deliveries(webhook.id, None, 1000)
        sequence = next((each.sequence for each in recent if each.id == name), None)
    if sequence is None or not await store.send_again(webhook.id, sequence, request.state["hooks_clock"]()):
        raise NotFound
    request.state["hooks_delivery"].wake()
