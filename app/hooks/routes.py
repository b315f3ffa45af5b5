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

HOOK = {"id": "The webhook's id."}


_hook = partial(Operation, tag="webhooks", parameters=HOOK, problems=(403, 404), guarded=True)
W = "/api/webhooks/{id}"
routes: list[BaseRoute] = [
    *webhooks.routes,
    ApiRoute(
        "GET", "/api/events", api.events,
        Operation("The catalogue of events", {200: ("Each with its schema and an example.", Catalogue)},
                  tag="webhooks"),
    ),
    ApiRoute(
        "POST", "/api/webhooks", api.create,
        _hook("Create a webhook", {201: ("The webhook and its secret.", CreatedWebhook)},
              parameters={}, body=NewWebhook, problems=(403, 409)),
        name="create_webhook",
    ),
    ApiRoute(
        "GET", "/api/webhooks", api.listed,
        _hook("The webhooks", {200: ("In the order of their creation.", Webhooks)}, parameters={}),
        name="list_webhooks",
    ),
    ApiRoute("PATCH", W, api.change, _hook("Change a webhook", {200: ("The webhook.", WebhookModel)},
                                           body=WebhookChange),
             name="change_webhook"),
    ApiRoute("DELETE", W, api.remove, _hook("Remove a webhook", {204: ("It is gone.", None)}), name="remove_webhook"),
    ApiRoute("POST", f"{W}/test", api.test,
             _hook("Send webhook.test", {202: ("The delivery's id.", SentDelivery)}, problems=(403, 404, 409)),
             name="test_webhook"),
    ApiRoute("POST", f"{W}/secret", api.new_secret,
             _hook("A new secret; both sign until the old one is removed", {201: ("The secret.", NewSecret)}),
             name="new_webhook_secret"),
    ApiRoute("DELETE", f"{W}/secret/old", api.remove_old_secret,
             _hook("Remove the old secret", {204: ("Only the new one signs.", None)}), name="remove_webhook_secret"),
    ApiRoute("GET", f"{W}/deliveries", api.deliveries,
             _hook("Deliveries, newest first", {200: ("With all attempts.", Deliveries)},
                   query={"before": "Only before this sequence number.", "limit": "How many, 100 at most."}),
             name="webhook_deliveries"),
    ApiRoute("POST", f"{W}/deliveries/{{delivery}}/send", api.send,
             _hook("Send a delivery again", {202: ("It is sent now.", None)},
                   problems=(403, 404, 409),
                   parameters=HOOK | {"delivery": "The delivery's id or sequence number."}),
             name="send_webhook_delivery"),
    ApiRoute("POST", f"{W}/send-since", api.send_since,
             _hook("Send all events since a time", {202: ("How many are sent.", SentSince)},
                   body=SendSince, problems=(403, 404, 409)),
             name="send_webhook_since"),
]  # fmt: skip
