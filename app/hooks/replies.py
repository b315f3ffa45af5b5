"""Requests the reply to an event from a webhook while the source of the event waits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.events.event import Record
from app.hooks.models import Webhook
from app.hooks.sender import Sender

MAX_REPLY = 64 * 1024


@dataclass(frozen=True, slots=True)
class Replies:
    """Sends one request, in addition to the delivery with the same `webhook-id`. The caller sets the timeout."""

    webhooks: Callable[[], dict[str, Webhook]]
    secrets_of: Callable[[Webhook], Sequence[str]]
    sender: Sender
    clock: Callable[[], float]

    async def ask(self, record: Record) -> str | None:
        """The reply of the oldest webhook with `reply` that wants the event; None if there is no such webhook, or it
        does not answer 2xx.
        """
        for webhook in self.webhooks().values():
            if webhook.reply and webhook.enabled and webhook.wants(record.type, record.data):
                secrets, now = self.secrets_of(webhook), self.clock()
                if not secrets:
                    return None
                attempt = await self.sender.post(webhook.url, record, 0, secrets, now, max_body=MAX_REPLY)
                return attempt.body if attempt.succeeded else None
        return None
