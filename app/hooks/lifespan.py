"""The part of the lifespan that opens hooks, and the request state that it fills."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from functools import partial

from app.accounts.lifespan import AccountState, SignInChecks
from app.accounts.models import User
from app.events.event import Record
from app.events.store_watch import watch_store
from app.hooks.consumer import Consumer
from app.hooks.delivery import DeliveryLoop, TellOwner
from app.hooks.in_process import InProcess, Refused
from app.hooks.replies import Replies
from app.hooks.sender import Sender
from app.hooks.store import HooksStore
from app.observability.metrics import Metrics, Reading
from app.server.background import background
from app.sessions.signing import signing_keys
from app.store import keys
from app.store.client import ResponseError, StoreUnavailable
from app.store.encryption import Encryption
from app.store.tracking import Tracking
from app.web.errors import Forbidden
from app.web.lifespan import WebState

DAY = 86_400


class Hooks(SignInChecks):
    """Filled by `open_hooks`."""

    hooks_store: HooksStore
    hooks_delivery: DeliveryLoop
    hooks_in_process: InProcess
    hooks_encryption: Encryption
    hooks_replies: Replies
    hooks_clock: Callable[[], float]


class HooksState(AccountState, Hooks):
    """The request state of the handlers of hooks."""


@asynccontextmanager
async def open_hooks(
    web: WebState, metrics: Metrics, clock: Callable[[], float], tell_owner: TellOwner
) -> AsyncIterator[Hooks]:
    """Delivers until the block ends. Raises SettingsError for modules of `hooks` that cannot be used."""
    settings = web["settings"]
    store = HooksStore(
        web["store"],
        retention=settings.webhook_retention_days * DAY,
        max_events=settings.webhook_max_events,
        max_deliveries=settings.webhook_max_deliveries,
    )
    in_process, encryption = (
        InProcess(settings.hooks, settings.hooks_fail),
        Encryption(signing_keys(settings), "webhooks"),
    )
    async with AsyncExitStack() as stack:
        sender = await stack.enter_async_context(Sender(settings))
        delivery = DeliveryLoop(
            store, sender, encryption, settings.webhook_retries, settings.webhook_timeout, clock, tell_owner
        )
        consumer = Consumer(store, web["tracking"], in_process, delivery.wake, secrets.token_hex(6), clock)
        metrics.add(*_readings(delivery, consumer))
        stack.push_async_callback(in_process.aclose)
        work = (
            _follow(web["tracking"], delivery),
            consumer.run(),
            delivery.run(),
            watch_store(web["store"], settings.store_lost_after, clock),
        )
        await stack.enter_async_context(background(web["lifecycle"], *work))
        yield Hooks(
            hooks_store=store,
            hooks_delivery=delivery,
            hooks_in_process=in_process,
            hooks_encryption=encryption,
            hooks_replies=Replies(lambda: delivery.webhooks, delivery.secrets_of, sender, clock),
            hooks_clock=clock,
            before_sign_in=partial(_before_sign_in, in_process, clock),
        )


async def _before_sign_in(
    in_process: InProcess, clock: Callable[[], float], user: User, auth_method: str, address: str
) -> None:
    data = {"user": user.id, "name": user.name, "auth_method": auth_method, "address": address}
    try:
        await in_process.check("sign_in", Record("", "sign_in", clock(), data))
    except Refused as refused:
        raise Forbidden(str(refused)) from None


async def _follow(tracking: Tracking, delivery: DeliveryLoop) -> None:
    """Reloads the webhooks when they change."""
    async with aclosing(tracking.subscribe(keys.HOOKS_CHANGED)) as messages:
        async for _ in messages:
            with suppress(StoreUnavailable, ResponseError):
                await delivery.reload()
                delivery.wake()


def _readings(delivery: DeliveryLoop, consumer: Consumer) -> list[Reading]:
    return [
        Reading("tallygate_webhooks_delivered", "Deliveries that succeeded.", lambda: delivery.delivered, counter=True),
        Reading("tallygate_webhooks_failed", "Attempts that failed.", lambda: delivery.failed, counter=True),
        Reading("tallygate_events_lost", "Events trimmed before they were taken.", lambda: consumer.lost, counter=True),
    ]
