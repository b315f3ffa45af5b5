"""Delivers to webhooks: concurrently, with a limit for each receiver, so that a slow one delays no other."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

import structlog

from app.events.event import Outcome, Record
from app.hooks import retries
from app.hooks.models import Attempt, Claimed, State, Webhook
from app.hooks.sender import Sender
from app.hooks.store import HooksStore
from app.server.attempts import Attempts
from app.store.encryption import Encryption

MAX_PER_WEBHOOK, MAX_ATTEMPTS = 8, 400
"""Attempts that a worker has under way: to one receiver, and to all. A receiver that has just failed gets one, so that
receivers that hang take no more than MAX_WEBHOOKS of them.
"""
LEASE = 15.0
"""Seconds after the timeout of an attempt until another worker takes it over."""
DISABLE_AFTER = 5 * 86_400
"""Seconds without a success after which a webhook is disabled."""
UNREADABLE_SECRET = "not sent: the webhook's secret was encrypted with a secret_key that is not in old_secret_keys"  # noqa: S105  a sentence

TellOwner = Callable[[Webhook, str], Awaitable[None]]
"""Tells the owner of a webhook that it was switched off, and why."""


class DeliveryLoop:
    def __init__(
        self,
        store: HooksStore,
        sender: Sender,
        encryption: Encryption,
        schedule: Sequence[float],
        timeout: float,
        clock: Callable[[], float],
        tell_owner: TellOwner,
    ) -> None:
        self._store = store
        self._sender = sender
        self._encryption = encryption
        self._schedule = schedule
        self._lease = timeout + LEASE
        self._clock = clock
        self._tell_owner = tell_owner
        self._attempts = Attempts(MAX_ATTEMPTS)
        self._due: set[str] = set()
        self._failing: set[str] = set()
        self._log = structlog.get_logger("app")
        self.webhooks: dict[str, Webhook] = {}
        self.delivered = self.failed = 0

    def wake(self) -> None:
        """Looks for due deliveries now."""
        self._check()
        self._attempts.wake()

    async def reload(self) -> None:
        """Raises StoreUnavailable."""
        self.webhooks = await self._store.webhooks()

    async def outcomes(self, event_id: str) -> list[Outcome]:
        """The outcome of an event at each existing webhook. Raises StoreUnavailable."""
        found = await self._store.outcomes(event_id)
        return [each._replace(url=self.webhooks[each.webhook].url) for each in found if each.webhook in self.webhooks]

    async def run(self) -> None:
        """Delivers until cancelled. Every webhook is asked for each second: retries become due, and other workers take
        events.
        """
        await self._attempts.run(self._start_due, self._check)

    def _check(self) -> None:
        self._due = {each.id for each in self.webhooks.values() if each.enabled}

    async def _start_due(self) -> None:
        free = self._free()
        if not free:
            return
        self._due -= free.keys()
        claimed = await self._store.claim(self._clock(), self._lease, free)
        found = Counter(each.webhook for each in claimed)
        self._due |= {webhook_id for webhook_id, count in free.items() if found[webhook_id] == count}
        for each in claimed:
            self._attempts.start(each.webhook, partial(self._attempt, each))

    def _free(self) -> dict[str, int]:
        """How many attempts may begin for each webhook; free capacity is divided evenly."""
        room, free = self._attempts.room, {}
        for webhook_id in self._due:
            limit = 1 if webhook_id in self._failing else MAX_PER_WEBHOOK
            count = min(limit - self._attempts.running[webhook_id], max(room // len(self._due), 1), room)
            if count > 0:
                free[webhook_id] = count
                room -= count
        return free

    async def _attempt(self, claimed: Claimed) -> None:
        webhook = self.webhooks.get(claimed.webhook)
        if webhook is None:
            return
        record, now = Record.load(claimed.record), self._clock()
        secrets = self.secrets_of(webhook)
        if secrets:
            attempt = await self._sender.post(webhook.url, record, claimed.sequence, secrets, now)
        else:
            attempt = Attempt(now, None, 0, {}, UNREADABLE_SECRET)
        if attempt.succeeded:
            self.delivered += 1
            self._failing.discard(webhook.id)
            await self._store.settle(claimed, State.DELIVERED, attempt, None, now)
            return
        self.failed += 1
        self._failing.add(webhook.id)
        wait = self._wait(claimed, attempt, now)
        state = State.FAILED if wait is None else State.PENDING
        due_at = None if wait is None else now + wait
        since = await self._store.settle(claimed, state, attempt, due_at, now)
        if attempt.status == retries.GONE:
            await self._disable(webhook.id, "410")
        elif since is not None and now - since >= DISABLE_AFTER:
            await self._disable(webhook.id, "failing")

    def _wait(self, claimed: Claimed, attempt: Attempt, now: float) -> float | None:
        told = attempt.headers.get("retry-after", "")
        chance = random.random()  # noqa: S311  no secret
        return retries.delay(self._schedule, claimed.tries + 1, chance, attempt.status, told, now)

    async def _disable(self, webhook_id: str, why: str) -> None:
        """Disables a webhook, and tells its owner. The reason is shown on its page."""
        changed = await self._store.update(
            webhook_id, lambda now: replace(now, enabled=False, off_why=why) if now.enabled else now
        )
        await self.reload()
        if changed is not None and changed[0].enabled:
            self._log.warning("a webhook is switched off", webhook=webhook_id, why=why)
            await self._tell_owner(changed[1], why)

    async def reencrypt(self) -> None:
        """The secrets of all webhooks."""

        def renewed(webhook: Webhook) -> Webhook:
            secret, old_secret = (
                self._encryption.renewed(each, webhook.id) or each for each in (webhook.secret, webhook.old_secret)
            )
            return replace(webhook, secret=secret, old_secret=old_secret)

        for webhook in (await self._store.webhooks()).values():
            if renewed(webhook) != webhook:
                await self._store.update(webhook.id, renewed)

    def secrets_of(self, webhook: Webhook) -> list[str]:
        found = (self._encryption.decrypt(each, webhook.id) for each in (webhook.secret, webhook.old_secret) if each)
        return [secret.decode() for secret in found if secret is not None]
