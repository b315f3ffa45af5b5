"""Requests the reply to an event from a webhook while the source of the event waits."""

from collections.abc import Callable, Sequence

from app.events.event import Record
from app.hooks.models import Webhook, body_of
from app.hooks.sender import Sender
from app.hooks.signing import signature_headers

MAX_REPLY = 64 * 1024


class Replies:
    """Sends one request, in addition to the delivery with the same `webhook-id`. The caller sets the timeout."""

    def __init__(
        self,
        webhooks: Callable[[], dict[str, Webhook]],
        secrets_of: Callable[[Webhook], Sequence[str]],
        sender: Sender,
        clock: Callable[[], float],
    ) -> None:
        self._webhooks = webhooks
        self._secrets_of = secrets_of
        self._sender = sender
        self._clock = clock

    async def ask(self, record: Record) -> str | None:
        """The reply of the first webhook with `reply` that wants the event; None if there is no such webhook, or it
        does not answer 2xx.
        """
        for webhook in self._webhooks().values():
            if webhook.reply and webhook.enabled and webhook.wants(record.type, record.data):
                return await self._ask(webhook, record)
        return None

    async def _ask(self, webhook: Webhook, record: Record) -> str | None:
        body, now = body_of(record, 0), self._clock()
        headers = signature_headers(record.id, int(now), body, self._secrets_of(webhook))
        attempt = await self._sender.post(webhook.url, body, headers, now, max_body=MAX_REPLY)
        return attempt.body if attempt.status is not None and 200 <= attempt.status < 300 else None
