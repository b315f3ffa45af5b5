"""The application: `create_app(settings)`, and `app` for `uvicorn app.main:app`."""

import asyncio
import contextlib
import gc
import importlib
import multiprocessing
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE

from app.accounts.email.mails import account_mails
from app.accounts.invitations.setup_link import print_setup_link
from app.accounts.lifespan import open_accounts
from app.accounts.sign_in.rate_limits import rate_limit_errors
from app.config_service.lifespan import ConfigState, open_config_service
from app.config_service.personal import personal_roles
from app.counter.lifespan import CounterState, open_counter
from app.gateway.lifespan import GatewayState, gateway_errors, open_gateway
from app.hooks.lifespan import HooksState, open_hooks
from app.hooks.models import Webhook
from app.hooks.personal import personal_webhooks
from app.mail.lifespan import mail_errors, open_mail
from app.mail.queue import MailQueue
from app.oauth_client.lifespan import OAuthState, open_oauth_client
from app.oauth_client.provider_config import provider_errors
from app.oauth_client.provisioning import finish_provider_sign_in
from app.oauth_server.clients import client_errors
from app.oauth_server.lifespan import OAuthServerState, open_oauth_server
from app.oauth_server.personal import personal_grants
from app.observability.health import PROBES, HealthChecks
from app.observability.log import AccessLog, LogFile, configure_logging
from app.observability.metrics import Metrics, Reading
from app.observability.process import process_readings
from app.observability.scrape import own_port
from app.routes import all_routes, templates_of, with_metrics
from app.server.background import background
from app.server.lifecycle import Lifecycle, keep_descriptors_private
from app.settings import Settings, SettingsError, load_settings
from app.settings.live import LiveSettings
from app.settings.topology import open_topology
from app.signing_keys.lifespan import open_signing_keys
from app.sites.lifespan import SitesState, open_sites
from app.sites.personal import personal_sites
from app.store.client import Store
from app.store.connection import NodeConnection
from app.store.rate_limit import RateLimiter
from app.store.reencryption import Encrypted, reencrypt_periodically
from app.store.tracking import Tracking
from app.web.lifespan import WebState
from app.web.middleware import Middleware
from app.web.proxies import Proxies
from app.web.router import ExactRouter
from app.web.streams import OpenStreams
from app.web.templating import Pages
from app.wechat.lifespan import WeChatState, open_wechat

if TYPE_CHECKING:
    from app.observability.tracing import Tracing

SETTINGS_CHECKS = (rate_limit_errors, gateway_errors, provider_errors, client_errors, mail_errors)
"""What features check of settings: each returns a line for each error."""
LOG_INTERVAL = 0.2
"""Seconds between two writes of the access log."""


class State(ConfigState, CounterState, GatewayState, OAuthState, OAuthServerState, SitesState, HooksState, WeChatState):
    """The request state of all features together."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application is made of before its lifespan opens anything. `clock` returns Unix seconds."""

    live: LiveSettings
    pages: Pages
    proxies: Proxies
    metrics: Metrics
    access: AccessLog
    clock: Callable[[], float]
    tracing: "Tracing | None"


def create_app(settings: Settings, clock: Callable[[], float] = time.time) -> ASGIApp:
    """The whole service as one ASGI application; its lifespan opens everything that it uses.

    `clock` returns Unix seconds; tests move it.
    """
    pages, access, live = Pages(settings), AccessLog(), LiveSettings(settings, SETTINGS_CHECKS)
    tracing = open_tracing(access) if settings.tracing else None
    proxies = Proxies(settings.trusted_proxies)
    routes = all_routes(settings.collect_path)
    metrics = Metrics(templates_of(routes), settings.metrics_file)
    parts = Parts(live, pages, proxies, metrics, access, clock, tracing)
    router = ExactRouter(with_metrics(routes, metrics, settings), lifespan=lambda app: lifespan(parts))
    app = Middleware(router, live, pages, proxies, metrics, access)
    return app if tracing is None else tracing.around(app)


def open_tracing(access: AccessLog) -> "Tracing":
    """Imports OpenTelemetry, an optional dependency. Raises SettingsError if it is not installed."""
    try:
        tracing = importlib.import_module("app.observability.tracing")
    except ModuleNotFoundError as error:
        raise SettingsError(f"tracing needs {error.name}: pip install 'tallygate[tracing]'") from None
    access.traceparent = tracing.traceparent
    return cast("Tracing", tracing.Tracing())


@contextlib.asynccontextmanager
async def lifespan(parts: Parts) -> AsyncIterator[State]:
    """Opens what requests use, in the order in which it is needed, and closes it in reverse."""
    async with contextlib.AsyncExitStack() as stack:
        web = await _open_core(parts, stack)
        state = await _open_features(parts, web, stack)
        _connect_features(state)
        await _run_in_background(parts, state, stack)
        stack.callback(web["lifecycle"].stopping.set)
        if web["store"].up:
            await web["health"].failure()  # so that a loss of Redis before the first probe is one after it was reached
        _freeze_garbage()
        yield state


async def _open_core(parts: Parts, stack: contextlib.AsyncExitStack) -> WebState:
    """The log, Redis and the metrics, which every feature needs."""
    settings, metrics = parts.live.own, parts.metrics
    lifecycle = _open_log(settings, parts.access, stack)
    keep_descriptors_private()
    connect = NodeConnection if parts.tracing is None else parts.tracing.connection
    store = await stack.enter_async_context(
        Store(open_topology(settings, stack), settings.redis_timeout, connect=connect)
    )
    streams = OpenStreams()
    metrics.add(*_store_readings(store), *process_readings(lifecycle.descriptors.limit))
    metrics.add(Reading("tallygate_streams", "Event streams and long polls open.", lambda: len(streams)))
    stack.callback(metrics.close)
    health = HealthChecks()
    health.refused = lambda: store.refusals.current
    return WebState(
        settings=settings,
        live_settings=parts.live,
        store=store,
        pages=parts.pages,
        rate_limiter=RateLimiter(store),
        tracking=await stack.enter_async_context(Tracking(store)),
        lifecycle=lifecycle,
        health=health,
        streams=streams,
    )


async def _open_features(parts: Parts, web: WebState, stack: contextlib.AsyncExitStack) -> State:
    """A feature gets only what stands above it in this list."""
    clock, metrics, open_ = parts.clock, parts.metrics, stack.enter_async_context
    oauth = await open_(open_oauth_client(parts.live, web["store"], clock))
    accounts = await open_(open_accounts(web, oauth["refresher"].recheck, clock))
    mail = await open_(open_mail(web, account_mails(web, accounts), metrics, clock))
    signing = await open_(open_signing_keys(web, clock))
    oauth_server = await open_(open_oauth_server(web, accounts, signing, clock))
    counter = await open_(open_counter(web, metrics))
    sites = await open_(open_sites(web, metrics, clock))
    hooks = await open_(open_hooks(web, metrics, clock, partial(_mail_owner, mail["mail"])))
    wechat = await open_(open_wechat(web, metrics, hooks["hooks_replies"].ask, hooks["hooks_delivery"].outcomes, clock))
    gateway = await open_(open_gateway(web, accounts, signing, clock))
    config = await open_(open_config_service(web, accounts, clock))
    features = {**counter, **sites, **hooks, **wechat, **gateway, **config}
    return cast(State, {**web, **accounts, **oauth, **mail, **signing, **oauth_server, **features})


async def _mail_owner(mail: MailQueue, webhook: Webhook, why: str) -> None:
    await mail.enqueue("webhook-off", user=webhook.owner, webhook=webhook.id, url=webhook.url, why=why)


def _connect_features(state: State) -> None:
    """Registers functions of one feature with another: features do not import each other."""
    state["finish_provider_sign_in"] = finish_provider_sign_in
    state["component_tokens"].update(state["wechat"].component_tokens())
    state["personal_data"].update(
        sites=personal_sites(state),
        services=personal_grants(state["oauth_server"].store),
        webhooks=personal_webhooks(state["hooks_store"]),
        roles=personal_roles(state["config_store"], state["config_editor"]),
    )


async def _run_in_background(parts: Parts, state: State, stack: contextlib.AsyncExitStack) -> None:
    await stack.enter_async_context(own_port(parts.metrics, state["settings"]))
    work = (
        _every(LOG_INTERVAL, parts.access.flush, parts.metrics.gather),
        state["tracking"].run(),
        parts.proxies.follow_names(),
        print_setup_link(state["accounts"], state["settings"]),
    )
    if state["settings"].old_secret_keys:
        platforms = [platform.store for platform in state["wechat"].platforms.values()]
        encrypted: list[Encrypted] = [
            state["second_factors"],
            state["config_editor"],
            state["hooks_delivery"],
            *platforms,
        ]
        await stack.enter_async_context(background(state["lifecycle"], *map(reencrypt_periodically, encrypted)))
    await stack.enter_async_context(background(state["lifecycle"], *work))


def _open_log(settings: Settings, access: AccessLog, stack: contextlib.AsyncExitStack) -> Lifecycle:
    log_file = LogFile(settings.log_file)
    stack.callback(log_file.close)
    configure_logging(settings, log_file)
    quiet = frozenset() if settings.log_level == "debug" else PROBES
    access.open(log_file, enabled=settings.log_level in {"debug", "info"}, quiet=quiet)
    stack.callback(access.flush)
    lifecycle = Lifecycle()
    stack.enter_context(lifecycle.listening(partial(_reopen, log_file, access)))
    return lifecycle


def _freeze_garbage() -> None:
    """Objects made by now live as long as the process: the collector skips them. Requests leave no cycles behind, so
    the collector also runs less often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


async def _every(seconds: float, *calls: Any) -> None:
    while True:
        await asyncio.sleep(seconds)
        for call in calls:
            call()


def _reopen(log_file: LogFile, access: AccessLog) -> None:
    access.flush()
    log_file.reopen()


def _store_readings(store: Store) -> list[Reading]:
    return [
        Reading("tallygate_redis_commands", "Commands sent to Redis.", lambda: store.commands, counter=True),
        Reading("tallygate_redis_up", "Workers whose every connection to Redis is up.", lambda: store.up),
        Reading("tallygate_redis_connections", "Connections made to Redis.", lambda: store.connections, counter=True),
    ]


def __getattr__(name: str) -> ASGIApp:
    """Makes `app` on first access: importing this module reads no settings (tests bring their own)."""
    if name != "app":
        raise AttributeError(name)
    try:
        return create_app(load_settings())
    except SettingsError as error:
        print(f"tallygate: {error}", file=sys.stderr)
        # A supervisor restarts workers for ever, unless they exit with this code.
        raise SystemExit(STARTUP_FAILURE if multiprocessing.parent_process() else 2) from None
