"""Creates and changes webhooks: validates, saves, and reloads them."""

import ipaddress
import re
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request

from app.accounts.models import User
from app.events.catalogue import WebhookTest
from app.events.event import new_record
from app.hooks.bodies import NewWebhook, WebhookChange
from app.hooks.lifespan import HooksState
from app.hooks.models import MAX_WEBHOOKS, Webhook
from app.hooks.signing import new_secret
from app.http_client.public_only import is_public
from app.web.errors import BadRequest, Conflict, NotFound
from app.web.i18n import N_

LABEL = re.compile("[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
"""A part of a host's name, in lower case."""
PRIVATE_DOMAINS = frozenset({"localhost", "local", "internal"})


async def create(request: Request[HooksState], owner: User, new: NewWebhook) -> tuple[Webhook, str]:
    """The webhook and its secret. Raises BadRequest, Conflict."""
    if len(await request.state["hooks_store"].webhooks()) >= MAX_WEBHOOKS:
        raise Conflict(N_("There are too many webhooks."))
    secret, webhook_id = new_secret(), f"wh_{secrets.token_hex(8)}"
    encrypted = _encrypted(request, webhook_id, secret)
    made = Webhook(webhook_id, "", (), owner.id, request.state["hooks_clock"](), encrypted)
    webhook = replace(made, **_checked(request, new))
    await request.state["hooks_store"].create(webhook)
    await request.state["hooks_delivery"].reload()
    return webhook, secret


async def change(request: Request[HooksState], changes: WebhookChange) -> Webhook:
    """Raises BadRequest, NotFound."""
    given = _checked(request, changes)

    def changed(before: Webhook) -> Webhook:
        after = replace(before, **given)
        return replace(after, off_why="") if after.enabled and not before.enabled else after

    before, after = await update(request, changed)
    if after.enabled and not before.enabled:
        await request.state["hooks_store"].forget_failing(after.id)
    return after


async def remove(request: Request[HooksState]) -> None:
    webhook = await find(request)
    await request.state["hooks_store"].remove(webhook.id)
    await request.state["hooks_delivery"].reload()


async def new_key(request: Request[HooksState]) -> str:
    """Adds a new secret. Both secrets sign until the old one is removed."""
    secret = new_secret()

    def changed(now: Webhook) -> Webhook:
        return replace(now, secret=_encrypted(request, now.id, secret), old_secret=now.secret)

    await update(request, changed)
    return secret


async def remove_old_key(request: Request[HooksState]) -> None:
    before, _ = await update(request, lambda now: replace(now, old_secret=""))
    if not before.old_secret:
        raise NotFound


async def test(request: Request[HooksState]) -> str:
    """Sends a test to this webhook alone. Returns the delivery's id."""
    webhook, clock = await find_enabled(request), request.state["hooks_clock"]
    record = new_record(WebhookTest(webhook=webhook.id), clock)
    await request.state["hooks_store"].take(record, [webhook.id], clock())
    request.state["hooks_delivery"].wake()
    return record.id


async def find_enabled(request: Request[HooksState]) -> Webhook:
    """Raises NotFound, Conflict."""
    webhook = await find(request)
    if not webhook.enabled:
        raise Conflict(N_("The webhook is switched off."))
    return webhook


async def find(request: Request[HooksState]) -> Webhook:
    webhook = (await request.state["hooks_store"].webhooks()).get(request.path_params["id"])
    if webhook is None:
        raise NotFound
    return webhook


async def update(request: Request[HooksState], change: Callable[[Webhook], Webhook]) -> tuple[Webhook, Webhook]:
    """The webhook before and after the change. Raises NotFound."""
    changed = await request.state["hooks_store"].update(request.path_params["id"], change)
    if changed is None:
        raise NotFound
    await request.state["hooks_delivery"].reload()
    return changed


def _encrypted(request: Request[HooksState], webhook_id: str, secret: str) -> str:
    return request.state["hooks_encryption"].encrypt(secret.encode(), webhook_id)


def _checked(request: Request[HooksState], changes: WebhookChange) -> dict[str, Any]:
    """The fields that change. Raises BadRequest."""
    given: dict[str, Any] = changes.model_dump(exclude_none=True)
    if changes.url is not None:
        given["url"] = checked_url(changes.url, private=not request.state["settings"].production)
    for name in {"events", "wechat"} & given.keys():
        given[name] = tuple(dict.fromkeys(given[name]))
    return given


def checked_url(url: str, *, private: bool) -> str:
    """`private` allows private addresses and http. Names are checked when a delivery connects, too: they may change.

    Raises BadRequest.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:
        raise BadRequest("url: is no address", field="url") from None
    plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
    if not plain or not _is_host(host) or port == 0 or parts.scheme not in ("https", "http") or parts.fragment:
        raise BadRequest("url: must be an address such as https://example.com/hook", field="url")
    if parts.username or parts.password:
        raise BadRequest("url: must hold no user name or password", field="url")
    if private:
        return url
    if parts.scheme != "https":
        raise BadRequest("url: must begin with https://", field="url")
    if not _is_public_host(host):
        raise BadRequest("url: must be a public address", field="url")
    return url


def _is_host(host: str) -> bool:
    return ":" in host or all(map(LABEL.fullmatch, host.split(".")))


def _is_public_host(host: str) -> bool:
    try:
        return is_public(str(ipaddress.ip_address(host)))
    except ValueError:
        labels = host.split(".")
        # No top-level domain begins with a digit, but the short and the hexadecimal forms of addresses do.
        return len(labels) > 1 and labels[-1] not in PRIVATE_DOMAINS and not labels[-1][0].isdigit()
