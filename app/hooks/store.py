"""Webhooks, the log of events and deliveries in Redis."""

import asyncio
import secrets
from collections.abc import Callable, Sequence

import orjson

from app.events.event import Outcome, Record
from app.hooks import scripts
from app.hooks.models import Attempt, Claimed, Delivery, State, Webhook, body_of
from app.store import keys
from app.store.client import Store
from app.store.hashes import compare_and_set

BATCH = 100
RECLAIM_AFTER = 30_000
"""Milliseconds until another worker claims raised events that a worker has not acknowledged."""
FORGET_AFTER = 600_000
"""Milliseconds after which a consumer that reads no more is forgotten; a live one reads every few seconds."""
Entry = tuple[bytes, bytes]
"""A stream entry's id and the record in it."""


class HooksStore:
    """Raises StoreUnavailable."""

    def __init__(self, store: Store, *, retention: int, max_events: int, max_deliveries: int) -> None:
        """`retention` in seconds; `max_deliveries` of each webhook are kept, besides those that are pending."""
        self.store = store
        self._retention = retention
        self._max_events = max_events
        self._max_deliveries = max_deliveries

    async def webhooks(self) -> dict[str, Webhook]:
        """By their ids, oldest first."""
        found = await self.store.idempotent("HVALS", keys.HOOKS_WEBHOOKS)
        webhooks = sorted(map(Webhook.load, found), key=lambda webhook: (webhook.created, webhook.id))
        return {webhook.id: webhook for webhook in webhooks}

    async def create(self, webhook: Webhook) -> None:
        """Announces it to every worker, as `update` and `remove` do."""
        await self.store.idempotent("HSET", keys.HOOKS_WEBHOOKS, webhook.id, webhook.dump())
        await self._announce()

    async def update(self, webhook_id: str, change: Callable[[Webhook], Webhook]) -> tuple[Webhook, Webhook] | None:
        """The webhook before and after the change, which is applied to its latest state; None if it was removed."""
        while (text := await self.store.idempotent("HGET", keys.HOOKS_WEBHOOKS, webhook_id)) is not None:
            before = Webhook.load(text)
            after = change(before)
            if await compare_and_set(self.store, keys.HOOKS_WEBHOOKS, webhook_id, text, after.dump()):
                await self._announce()
                return before, after
        return None

    async def remove(self, webhook_id: str) -> None:
        """Drops due deliveries; the others expire."""
        await self.store.idempotent("HDEL", keys.HOOKS_WEBHOOKS, webhook_id)
        await self._announce()
        await self.store.idempotent("DEL", keys.hooks_due(webhook_id))
        for name in (keys.HOOKS_FAILING, keys.HOOKS_SEQUENCES):
            await self.store.idempotent("HDEL", name, webhook_id)

    async def _announce(self) -> None:
        await self.store.idempotent("PUBLISH", keys.HOOKS_CHANGED, "", near=keys.HOOKS_WEBHOOKS)

    async def raised(self, part: str, consumer: str) -> tuple[list[Entry], int]:
        """(raised events that no worker has claimed, how many were trimmed before they were taken)."""
        touched = [keys.raised(part), keys.raised_removed(part)]
        reply, lost = await scripts.READ.run(self.store, touched, consumer, BATCH)
        return _entries(reply), int(lost)

    async def abandoned(self, part: str, consumer: str) -> list[Entry]:
        """Events that another worker has not acknowledged."""
        bounds = (RECLAIM_AFTER, BATCH, FORGET_AFTER)
        return _entries(await scripts.RECLAIM.run(self.store, [keys.raised(part)], consumer, *bounds))

    async def done(self, part: str, ids: Sequence[bytes]) -> None:
        await scripts.ACKNOWLEDGE.run(self.store, [keys.raised(part), keys.raised_removed(part)], *ids)

    async def take(self, record: Record, webhook_ids: Sequence[str], now: float) -> bool:
        """Logs the event and creates its deliveries; False if that was done before."""
        touched = [keys.hooks_seen(record.id), keys.HOOKS_LOG]
        arguments = (record.id, record.dump(), record.type, repr(now), self._retention, self._max_deliveries)
        return bool(await scripts.TAKE.run(self.store, touched, *arguments, *webhook_ids))

    async def send_since(self, webhook: Webhook, since: float, now: float) -> int:
        """Creates deliveries of the logged events since then that the webhook subscribes to. Returns how many."""
        start, number = f"{max(int(since * 1000), 0)}", 0
        arguments = (webhook.id, repr(now), self._retention, self._max_deliveries)
        while True:
            found = await self.store.idempotent("XRANGE", keys.HOOKS_LOG, start, "+", "COUNT", BATCH)
            wanted: list[str] = []
            for entry_id, fields in found:
                record = Record.load(fields[1])
                if webhook.wants(record.type, record.data):
                    wanted += [entry_id.decode(), record.id, record.type]
            if wanted:
                stamp = keys.hooks_seen(secrets.token_hex(8))
                await scripts.SEND_AGAIN.run(self.store, [stamp], *arguments, *wanted)
                number += len(wanted) // 3
            if len(found) < BATCH:
                return number
            start = f"({found[-1][0].decode()}"

    async def claim(self, now: float, lease: float, free: dict[str, int]) -> list[Claimed]:
        """Due deliveries, at most `free` of each webhook."""
        pairs = [part for pair in free.items() for part in pair]
        claimed = await scripts.CLAIM.run(self.store, [keys.HOOKS_LOG], repr(now), repr(lease), *pairs)
        return [
            Claimed(webhook.decode(), int(number), int(tries), record) for webhook, number, tries, record in claimed
        ]

    async def settle(
        self, claimed: Claimed, state: State, attempt: Attempt, due_at: float | None, now: float
    ) -> float | None:
        """Writes the result of an attempt. Returns the time of the first failure since the last success, or None."""
        told = orjson.dumps([attempt.at, attempt.status, attempt.ms, attempt.headers, attempt.body])
        since = await scripts.SETTLE.run(
            self.store, [keys.HOOKS_FAILING], claimed.webhook, claimed.sequence, state.value, claimed.tries + 1, told,
            "" if due_at is None else repr(due_at), repr(now),
        )  # fmt: skip
        return float(since) if since else None

    async def send_again(self, webhook_id: str, sequence: int, now: float) -> bool:
        return bool(await scripts.SEND.run(self.store, [keys.HOOKS_LOG], webhook_id, sequence, repr(now)))

    async def forget_failing(self, webhook_id: str) -> None:
        await self.store.idempotent("HDEL", keys.HOOKS_FAILING, webhook_id)

    async def deliveries(self, webhook_id: str, before: int | None, limit: int) -> list[Delivery]:
        """Newest first."""
        last = int(await self.store.idempotent("HGET", keys.HOOKS_SEQUENCES, webhook_id) or 0)
        newest = last if before is None else min(last, before - 1)
        numbers = range(newest, max(newest - limit, 0), -1)
        found = await asyncio.gather(*(self.delivery(webhook_id, number) for number in numbers))
        return [each for each in found if each is not None]

    async def delivery(self, webhook_id: str, sequence: int) -> Delivery | None:
        fields = await self.store.idempotent("HGETALL", keys.hooks_delivery(webhook_id, str(sequence)))
        if not fields:
            return None
        due = await self.store.idempotent("ZSCORE", keys.hooks_due(webhook_id), sequence)
        entry = await self.store.idempotent("XRANGE", keys.HOOKS_LOG, fields[b"log"], fields[b"log"])
        tries = int(fields[b"tries"])
        attempts = [fields.get(b"attempt:%d" % number) for number in range(1, tries + 1)]
        return Delivery(
            id=fields[b"event"].decode(),
            event=fields[b"type"].decode(),
            sequence=sequence,
            state=fields[b"state"].decode(),
            attempts=tuple(Attempt(*orjson.loads(each)) for each in attempts if each is not None),
            next_at=float(due) if due is not None else None,
            body=body_of(Record.load(entry[0][1][1]), sequence).decode() if entry else "",
        )

    async def outcomes(self, event_id: str) -> list[Outcome]:
        """The outcome at each webhook of an event of the last two days."""
        made = await self.store.idempotent("GET", keys.hooks_seen(event_id)) or b""
        names = [each.decode().rpartition(":") for each in made.split()]
        found = await asyncio.gather(
            *(
                self.store.idempotent("HMGET", keys.hooks_delivery(webhook, number), "state", "tries")
                for webhook, _, number in names
            )
        )
        return [
            Outcome(webhook, state.decode(), int(tries))
            for (webhook, _, _), (state, tries) in zip(names, found, strict=True)
            if state
        ]

    async def trim(self, now: float) -> None:
        """Trims the log in small steps, which do not block Redis for long."""
        least, gone = int((now - self._retention) * 1000), 1
        while gone:
            gone = int(await scripts.TRIM.run(self.store, [keys.HOOKS_LOG], least, self._max_events))

    async def log_size(self) -> tuple[int, int]:
        """(events in the log, their size in Redis in bytes)."""
        count = await self.store.idempotent("XLEN", keys.HOOKS_LOG)
        size = await self.store.idempotent("MEMORY", "USAGE", keys.HOOKS_LOG, near=keys.HOOKS_LOG)
        return int(count), int(size or 0)


def _entries(reply: list[tuple[bytes, list[bytes]]]) -> list[Entry]:
    return [(entry_id, fields[1]) for entry_id, fields in reply if fields]
