"""Webhooks as administrators make and change them: checked, saved, announced to every worker."""

import ipaddress
import secrets
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request

from app.accounts.models import User
from app.events.catalogue import EVENTS, WebhookTest
from app.events.event import new_record
from app.hooks.lifespan import HooksState
from app.hooks.models import MAX_URL, MAX_WEBHOOKS, Webhook
from app.hooks.signing import new_secret
from app.http_client.public_only import is_public
from app.store import keys
from app.web.errors import BadRequest, Conflict, NotFound
from app.web.i18n import N_

FIELDS: dict[str, type] = {"url": str, "events": list, "enabled": bool, "wechat": list, "reply": bool}


async def create(request: Request[HooksState], owner: User, fields: dict[str, Any]) -> tuple[Webhook, str]:
    """The webhook and its secret. Raises BadRequest, Conflict."""
    for name in ("url", "events"):
        if fields.get(name) is None:
            raise BadRequest(f"{name}: is missing", field=name)
    if len(await request.state["hooks_store"].webhooks()) >= MAX_WEBHOOKS:
        raise Conflict(N_("There are too many webhooks."))
    secret, webhook_id = new_secret(), f"wh_{secrets.token_hex(8)}"
    encrypted = _encrypted(request, webhook_id, secret)
    made = Webhook(webhook_id, "", (), owner.id, request.state["hooks_clock"](), encrypted)
    webhook = _changed(request, made, fields)
    await save(request, webhook)
    return webhook, secret


async def change(request: Request[HooksState], fields: dict[str, Any]) -> Webhook:
    """Raises BadRequest, NotFound."""
    before = await find(request)
    webhook = _changed(request, before, fields)
    if webhook.enabled and not before.enabled:
        webhook = replace(webhook, off_why="")
        await request.state["hooks_store"].forget_failing(webhook.id)
    await save(request, webhook)
    return webhook


async def remove(request: Request[HooksState]) -> None:
    webhook = await find(request)
    await request.state["hooks_store"].remove(webhook.id)
    await _announce(request)


async def new_key(request: Request[HooksState]) -> str:
    """A new secret. Both sign until the old one is removed."""
    webhook, secret = await find(request), new_secret()
    await save(request, replace(webhook, secret=_encrypted(request, webhook.id, secret), old_secret=webhook.secret))
    return secret


async def remove_old_key(request: Request[HooksState]) -> None:
    webhook = await find(request)
    if not webhook.old_secret:
        raise NotFound
    await save(request, replace(webhook, old_secret=""))


async def test(request: Request[HooksState]) -> str:
    """Sends a test to this webhook alone. Returns the delivery's id."""
    webhook, clock = await find(request), request.state["hooks_clock"]
    record = new_record(WebhookTest(webhook=webhook.id), clock)
    await request.state["hooks_store"].take(record, [webhook.id], clock())
    request.state["hooks_delivery"].wake()
    return record.id


async def find(request: Request[HooksState]) -> Webhook:
    webhook = (await request.state["hooks_store"].webhooks()).get(request.path_params["id"])
    if webhook is None:
        raise NotFound
    return webhook


async def save(request: Request[HooksState], webhook: Webhook) -> None:
    await request.state["hooks_store"].save(webhook)
    await _announce(request)


async def _announce(request: Request[HooksState]) -> None:
    await request.state["hooks_delivery"].reload()
    await request.state["store"].idempotent("PUBLISH", keys.HOOKS_CHANGED, "", near=keys.HOOKS_WEBHOOKS)


def _encrypted(request: Request[HooksState], webhook_id: str, secret: str) -> str:
    return request.state["hooks_encryption"].encrypt(secret.encode(), webhook_id)


def _changed(request: Request[HooksState], webhook: Webhook, fields: dict[str, Any]) -> Webhook:
    for name, value in fields.items():
        if name not in FIELDS:
            raise BadRequest(f"{name[:64]}: there is no such field", field=name[:64])
        if type(value) is not FIELDS[name]:
            raise BadRequest(f"{name}: has the wrong type", field=name)
    if "url" in fields:
        webhook = replace(webhook, url=checked_url(fields["url"], private=not request.state["settings"].production))
    if "events" in fields:
        webhook = replace(webhook, events=_events(fields["events"]))
    if "wechat" in fields:
        webhook = replace(webhook, wechat=_texts(fields["wechat"], "wechat"))
    simple = {name: fields[name] for name in ("enabled", "reply") if name in fields}
    return replace(webhook, **simple)


def checked_url(url: str, *, private: bool) -> str:
    """`private` allows private addresses and http. Names are checked when a delivery connects, too: they may change.

    Raises BadRequest.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise BadRequest("url: is no address", field="url") from None
    plain = len(url) <= MAX_URL and url.isascii() and url.isprintable() and " " not in url
    if not plain or not host or parts.scheme not in ("https", "http") or parts.fragment:
        raise BadRequest("url: must be an address such as https://example.com/hook", field="url")
    if parts.username or parts.password:
        raise BadRequest("url: must hold no user name or password", field="url")
    if private:
        return url
    if parts.scheme != "https":
        raise BadRequest("url: must begin with https://", field="url")
    try:
        public = is_public(str(ipaddress.ip_address(host)))
    except ValueError:
        public = "." in host.rstrip(".") and not host.rstrip(".").endswith((".localhost", ".local", ".internal"))
        public = public and not host.rstrip(".").rpartition(".")[2].isdigit()
    if not public:
        raise BadRequest("url: must be a public address", field="url")
    return url


def _events(names: list[Any]) -> tuple[str, ...]:
    events = _texts(names, "events")
    if not events:
        raise BadRequest("events: name at least one", field="events")
    for name in events:
        if name != "*" and name not in EVENTS:
            raise BadRequest(f"events: {name[:64]}: there is no such event", field="events")
    return events


def _texts(values: list[Any], name: str) -> tuple[str, ...]:
    if len(values) > 100 or not all(isinstance(each, str) and 0 < len(each) <= 100 for each in values):
        raise BadRequest(f"{name}: must be a list of at most 100 short texts", field=name)
    return tuple(dict.fromkeys(values))
