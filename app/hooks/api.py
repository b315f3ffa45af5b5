"""The API of events and webhooks. Webhooks are for administrators."""

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.accounts.guards import admin_required
from app.accounts.models import User
from app.events.catalogue import EVENTS
from app.hooks import editing
from app.hooks.lifespan import HooksState
from app.hooks.models import Delivery, Webhook
from app.web.errors import BadRequest, NotFound
from app.web.responses import json_response

MAX_DELIVERIES = 100


async def events(request: Request[HooksState]) -> Response:
    """`GET /api/events`."""
    told = [
        {"name": name, "schema": event.schema_of_data(), "example": event.example().model_dump(mode="json")}
        for name, event in EVENTS.items()
    ]
    return json_response({"events": told})


@admin_required
async def create(request: Request[HooksState], user: User) -> Response:
    """`POST /api/webhooks`: the secret is shown this once."""
    webhook, secret = await editing.create(request, user, await _fields(request))
    return json_response(webhook_json(webhook) | {"secret": secret}, 201)


@admin_required
async def listed(request: Request[HooksState], _: User) -> Response:
    """`GET /api/webhooks`."""
    found = await request.state["hooks_store"].webhooks()
    return json_response({"webhooks": [webhook_json(each) for each in in_order(found)]})


@admin_required
async def change(request: Request[HooksState], _: User) -> Response:
    """`PATCH /api/webhooks/{id}`."""
    return json_response(webhook_json(await editing.change(request, await _fields(request))))


@admin_required
async def remove(request: Request[HooksState], _: User) -> Response:
    """`DELETE /api/webhooks/{id}`."""
    await editing.remove(request)
    return Response(status_code=204)


@admin_required
async def test(request: Request[HooksState], _: User) -> Response:
    """`POST /api/webhooks/{id}/test`."""
    return json_response({"id": await editing.test(request)}, 202)


@admin_required
async def new_secret(request: Request[HooksState], _: User) -> Response:
    """`POST /api/webhooks/{id}/secret`."""
    return json_response({"secret": await editing.new_key(request)}, 201)


@admin_required
async def remove_old_secret(request: Request[HooksState], _: User) -> Response:
    """`DELETE /api/webhooks/{id}/secret/old`."""
    await editing.remove_old_key(request)
    return Response(status_code=204)


@admin_required
async def deliveries(request: Request[HooksState], _: User) -> Response:
    """`GET /api/webhooks/{id}/deliveries?before=&limit=`."""
    webhook = await editing.find(request)
    before, limit = _number(request, "before"), _number(request, "limit")
    found = await request.state["hooks_store"].deliveries(webhook.id, before, min(limit or 50, MAX_DELIVERIES))
    return json_response({"deliveries": [delivery_json(each) for each in found]})


@admin_required
async def send(request: Request[HooksState], _: User) -> Response:
    """`POST /api/webhooks/{id}/deliveries/{delivery}/send`, by the delivery's id or its sequence number."""
    await send_again(request, request.path_params["delivery"])
    return Response(status_code=202)


@admin_required
async def send_since(request: Request[HooksState], _: User) -> Response:
    """`POST /api/webhooks/{id}/send-since`."""
    webhook, fields = await editing.find(request), await _fields(request)
    since: Any = fields.get("since")
    if set(fields) != {"since"} or type(since) not in (int, float) or not 0 <= since < 2**40:
        raise BadRequest("since: must be a time in Unix seconds", field="since")
    number = await request.state["hooks_store"].send_since(webhook, since, request.state["hooks_clock"]())
    request.state["hooks_delivery"].wake()
    return json_response({"deliveries": number}, 202)


async def send_again(request: Request[HooksState], name: str) -> None:
    """Raises NotFound for a delivery that is not kept."""
    webhook, store = await editing.find(request), request.state["hooks_store"]
    sequence = int(name) if name.isascii() and name.isdigit() and len(name) < 16 else None
    if sequence is None:
        recent = await store.deliveries(webhook.id, None, 1000)
        sequence = next((each.sequence for each in recent if each.id == name), None)
    if sequence is None or not await store.send_again(webhook.id, sequence, request.state["hooks_clock"]()):
        raise NotFound
    request.state["hooks_delivery"].wake()


def in_order(webhooks: dict[str, Webhook]) -> list[Webhook]:
    return sorted(webhooks.values(), key=lambda each: (each.created, each.id))


def webhook_json(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.id,
        "url": webhook.url,
        "events": list(webhook.events),
        "enabled": webhook.enabled,
        "off_why": webhook.off_why,
        "wechat": list(webhook.wechat),
        "reply": webhook.reply,
        "created": webhook.created,
        "old_secret": bool(webhook.old_secret),
    }


def delivery_json(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "event": delivery.event,
        "sequence": delivery.sequence,
        "state": delivery.state,
        "next_at": delivery.next_at,
        "attempts": [
            {"at": each.at, "status": each.status, "ms": each.ms, "headers": each.headers, "body": each.body}
            for each in delivery.attempts
        ],
    }


async def _fields(request: Request[HooksState]) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadRequest("Content-Type: must be application/json", field="Content-Type")
    try:
        fields = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        raise BadRequest("body: is not valid JSON", field="body") from None
    if not isinstance(fields, dict):
        raise BadRequest("body: must be a JSON object", field="body")
    return fields


def _number(request: Request[HooksState], name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text) > 0):
        raise BadRequest(f"{name}: must be a whole number above 0", field=name)
    return int(text)
