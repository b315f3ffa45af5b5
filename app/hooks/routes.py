"""Every URL of hooks."""

from functools import partial

from starlette.routing import BaseRoute

from app.hooks import api
from app.hooks.bodies import (
    Catalogue,
    CreatedWebhook,
    Deliveries,
    NewSecret,
    NewWebhook,
    SendSince,
    SentDelivery,
    SentSince,
    WebhookChange,
    WebhookModel,
    Webhooks,
)
from app.hooks.pages import webhooks
from app.web.openapi import ApiRoute, Operation

_webhook = partial(
    Operation,
    tag="webhooks",
    parameters={"id": "The webhook's id.", "delivery": "The delivery's id or sequence number."},
    guarded=True,
)
EVENTS = _webhook("The catalogue of events, each with its schema and an example", Catalogue, guarded=False)
CREATE = _webhook(
    "Create a webhook; its secret is shown once", CreatedWebhook, status=201, body=NewWebhook, problems=[409]
)
LIST = _webhook("The webhooks, in the order of their creation", Webhooks)
CHANGE = _webhook("Change a webhook", WebhookModel, body=WebhookChange)
REMOVE = _webhook("Remove a webhook")
TEST = _webhook("Send webhook.test", SentDelivery, status=202, problems=[409])
NEW_SECRET = _webhook("A new secret; both sign until the old one is removed", NewSecret, status=201)
REMOVE_SECRET = _webhook("Remove the old secret: only the new one signs")
DELIVERIES = _webhook(
    "Deliveries with all attempts, newest first",
    Deliveries,
    query={"before": "Only before this sequence number.", "limit": "How many, 100 at most."},
)
SEND = _webhook("Send a delivery again, now", status=202, problems=[409])
SEND_SINCE = _webhook("Send all events since a time", SentSince, status=202, body=SendSince, problems=[409])

W = "/api/webhooks/{id}"
routes: list[BaseRoute] = [
    *webhooks.routes,
    ApiRoute("GET", "/api/events", api.events, EVENTS),
    ApiRoute("POST", "/api/webhooks", api.create_webhook, CREATE),
    ApiRoute("GET", "/api/webhooks", api.list_webhooks, LIST),
    ApiRoute("PATCH", W, api.change_webhook, CHANGE),
    ApiRoute("DELETE", W, api.remove_webhook, REMOVE),
    ApiRoute("POST", f"{W}/test", api.send_test_event, TEST, name="test_webhook"),
    ApiRoute("POST", f"{W}/secret", api.new_webhook_secret, NEW_SECRET),
    ApiRoute("DELETE", f"{W}/secret/old", api.remove_webhook_secret, REMOVE_SECRET),
    ApiRoute("GET", f"{W}/deliveries", api.webhook_deliveries, DELIVERIES),
    ApiRoute("POST", f"{W}/deliveries/{{delivery}}/send", api.send_webhook_delivery, SEND),
    ApiRoute("POST", f"{W}/send-since", api.send_webhook_since, SEND_SINCE),
]
