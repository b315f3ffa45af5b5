"""The part of the lifespan that opens hooks, and the request state that it fills."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from functools import partial

from app.accounts.lifespan import AccountState, SignInChecks
from app.accounts.models import User
from app.accounts.sealing import Seal
from app.events.event import Record
from app.hooks.delivering import MAX_ATTEMPTS, Delivering
from app.hooks.in_process import InProcess, Refused
from app.hooks.sender import Sender
from app.hooks.store import HooksStore
from app.hooks.taking import Taking
from app.observability.metrics import Metrics, Reading
from app.server.background import background
from app.store import keys
from app.store.client import ResponseError, StoreUnavailable
from app.web.errors import Forbidden
from app.web.lifespan import WebState

DAY = 86_400


class Hooks(SignInChecks):
    """Filled by `open_hooks`."""

    hooks_store: HooksStore
    hooks_delivering: Delivering
    hooks_in_process: InProcess
    hooks_seal: Seal
    hooks_clock: Callable[[], float]


class HooksState(AccountState, Hooks):
    """The request state of the handlers of hooks."""


@asynccontextmanager
async def open_hooks(web: WebState, metrics: Metrics, clock: Callable[[], float]) -> AsyncIterator[Hooks]:
    """Delivers until the block ends. Raises SettingsError for modules of `hooks` that cannot be used."""
    settings = web["settings"]
    store = HooksStore(
        web["store"], retention=settings.webhook_retention_days * DAY, max_events=settings.webhook_max_events
    )
    in_process, seal = InProcess(settings.hooks, settings.hooks_fail), Seal(settings, "webhooks")
    async with AsyncExitStack() as stack:
        sender = await stack.enter_async_context(Sender(settings, MAX_ATTEMPTS))
        delivering = Delivering(store, sender, seal, settings.webhook_retries, settings.webhook_timeout, clock)
        taking = Taking(store, lambda: delivering.webhooks, in_process, delivering.wake, secrets.token_hex(6), clock)
        metrics.add(*_readings(delivering))
        stack.push_async_callback(in_process.aclose)
        work = (_follow(store, delivering), taking.run(), delivering.run())
        await stack.enter_async_context(background(web["lifecycle"], *work))
        yield Hooks(
            hooks_store=store,
            hooks_delivering=delivering,
            hooks_in_process=in_process,
            hooks_seal=seal,
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


async def _follow(store: HooksStore, delivering: Delivering) -> None:
    """Reads the webhooks when they change."""
    async with aclosing(store.store.subscribe(keys.HOOKS_CHANGED)) as messages:
        async for _ in messages:
            with suppress(StoreUnavailable, ResponseError):
                await delivering.reload()
                delivering.wake()


def _readings(delivering: Delivering) -> list[Reading]:
    return [
        Reading(
            "tallygate_webhooks_delivered", "Deliveries that succeeded.", lambda: delivering.delivered, counter=True
        ),
        Reading("tallygate_webhooks_failed", "Attempts that failed.", lambda: delivering.failed, counter=True),
    ]
