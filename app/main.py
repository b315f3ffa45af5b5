"""The application: `create_app(settings)`, and `app` for `uvicorn app.main:app`."""

import asyncio
import contextlib
import gc
import importlib
import multiprocessing
import sys
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from pydantic import SecretStr
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE

from app.accounts.email.mails import account_mails
from app.accounts.invitations.setup_link import print_setup_link
from app.accounts.lifespan import open_accounts
from app.accounts.sign_in.rate_limits import unknown_limits
from app.config_service.lifespan import ConfigState, open_config_service
from app.config_service.personal import personal_roles
from app.counter.lifespan import CounterState, open_counter
from app.gateway.lifespan import GatewayState, gateway_mistakes, open_gateway
from app.hooks.lifespan import HooksState, open_hooks
from app.hooks.personal import personal_webhooks
from app.mail.lifespan import mail_mistakes, open_mail
from app.oauth_client.lifespan import OAuthState, open_oauth_client
from app.oauth_client.provider_config import provider_mistakes
from app.oauth_client.provisioning import finish_elsewhere
from app.oauth_server.clients import client_mistakes
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
from app.settings import PREFIX, Settings, SettingsError, load_settings
from app.settings.live import LiveSettings
from app.signing_keys.lifespan import open_signing_keys
from app.sites.lifespan import SitesState, open_sites
from app.sites.personal import personal_sites
from app.store.client import Store
from app.store.connection import NodeConnection
from app.store.embedded import Embedded
from app.store.rate_limit import RateLimiter
from app.store.redis_url import with_password
from app.store.topology import Single, Topology, topology
from app.store.tracking import Tracking
from app.web.lifespan import WebState
from app.web.middleware import Middleware
from app.web.proxies import Proxies
from app.web.router import ExactRouter
from app.web.templating import Pages
from app.wechat.lifespan import WeChatState, open_wechat

if TYPE_CHECKING:
    from app.observability.tracing import Tracing

SETTINGS_CHECKS = (unknown_limits, gateway_mistakes, provider_mistakes, client_mistakes, mail_mistakes)
"""What features demand of settings: a line for each mistake."""
LOG_INTERVAL = 0.2
"""Seconds between two writes of the access log."""


class State(ConfigState, CounterState, GatewayState, OAuthState, OAuthServerState, SitesState, HooksState, WeChatState):
    """The request state of all features together."""


def create_app(settings: Settings, clock: Callable[[], float] = time.time) -> ASGIApp:
    """The whole service as one ASGI application; its lifespan opens everything that it uses.

    `clock` returns Unix seconds; tests move it.
    """
    pages, access, live = Pages(settings), AccessLog(), LiveSettings(settings, SETTINGS_CHECKS)
    tracing = open_tracing(access) if settings.tracing else None
    proxies = Proxies(settings.trusted_proxies)
    routes = all_routes(settings.collect_path)
    metrics = Metrics(templates_of(routes), settings.metrics_file)
    router = ExactRouter(
        with_metrics(routes, metrics, settings),
        lifespan=partial(lifespan, live, pages, proxies, metrics, access, clock, tracing),
    )
    app = Middleware(router, live, pages, proxies, metrics, access)
    return app if tracing is None else tracing.around(app)


def open_tracing(access: AccessLog) -> "Tracing":
    """Imports OpenTelemetry, which only those who trace have installed. Raises SettingsError without it."""
    try:
        tracing = importlib.import_module("app.observability.tracing")
    except ModuleNotFoundError as error:
        raise SettingsError(f"tracing needs {error.name}: pip install 'tallygate[tracing]'") from None
    access.traceparent = tracing.traceparent
    return cast("Tracing", tracing.Tracing())


@contextlib.asynccontextmanager
async def lifespan(
    live: LiveSettings,
    pages: Pages,
    proxies: Proxies,
    metrics: Metrics,
    access: AccessLog,
    clock: Callable[[], float],
    tracing: "Tracing | None",
    _: object,
) -> AsyncIterator[State]:
    """Opens what requests use, in the order in which it is needed, and closes it in reverse."""
    settings = live.own
    async with contextlib.AsyncExitStack() as stack:
        lifecycle = _open_log(settings, access, stack)
        keep_descriptors_private()
        nodes = open_topology(settings, stack)
        store = await stack.enter_async_context(
            Store(nodes, settings.redis_timeout, connect=NodeConnection if tracing is None else tracing.connection)
        )
        metrics.add(*_store_readings(store), *process_readings(lifecycle.descriptors.limit))
        stack.callback(metrics.close)
        web = WebState(
            settings=settings,
            live_settings=live,
            store=store,
            pages=pages,
            rate_limiter=RateLimiter(store),
            tracking=await stack.enter_async_context(Tracking(store)),
            lifecycle=lifecycle,
            health=HealthChecks(),
        )
        web["health"].refused = lambda: store.refusals.current
        oauth = await stack.enter_async_context(open_oauth_client(live, store, clock))
        oauth["finish_elsewhere"] = finish_elsewhere
        recheck = oauth["refresher"].recheck
        accounts = await stack.enter_async_context(open_accounts(web, recheck, clock))
        mail = await stack.enter_async_context(open_mail(web, account_mails(web, accounts), metrics, clock))
        signing = await stack.enter_async_context(open_signing_keys(web, clock))
        oauth_server = await stack.enter_async_context(open_oauth_server(web, accounts, signing, clock))
        await stack.enter_async_context(own_port(metrics, settings))
        await stack.enter_async_context(
            background(
                lifecycle,
                _every(LOG_INTERVAL, access.flush, metrics.gather),
                proxies.follow_names(),
                print_setup_link(accounts["accounts"], settings),
            )
        )
        counter = await stack.enter_async_context(open_counter(web, metrics))
        sites = await stack.enter_async_context(open_sites(web, metrics, clock))
        hooks = await stack.enter_async_context(open_hooks(web, metrics, clock))
        wechat = await stack.enter_async_context(
            open_wechat(web, metrics, hooks["hooks_replies"].ask, hooks["hooks_delivery"].outcomes, clock)
        )
        oauth["component_tokens"].update(wechat["wechat"].component_tokens())
        gateway = await stack.enter_async_context(open_gateway(web, accounts, signing, clock))
        config = await stack.enter_async_context(open_config_service(web, accounts, clock))
        accounts["personal_data"].update(
            sites=personal_sites(sites),
            services=personal_grants(oauth_server["oauth_server"].store),
            webhooks=personal_webhooks(hooks["hooks_store"]),
            roles=personal_roles(config["config_store"], config["config_editor"]),
        )
        stack.callback(lifecycle.stopping.set)
        if store.up:
            await web["health"].failure()  # so that a loss of Redis before the first probe is one after it was reached
        _freeze_garbage()
        features = {**oauth_server, **counter, **sites, **config, **hooks, **wechat, **gateway}
        yield cast(State, {**web, **accounts, **mail, **oauth, **signing, **features})


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


def open_topology(settings: Settings, stack: contextlib.ExitStack | contextlib.AsyncExitStack) -> Topology:
    """The topology of redis_url or of the embedded server, which is in use until the stack closes.

    Raises SettingsError, EmbeddedError.
    """
    if settings.redis_url is not None:
        return topology_at(settings.redis_url, settings)
    embedded = Embedded(settings.data_dir)
    embedded.hold()
    stack.callback(embedded.release)
    return Single(embedded.url, settings.redis_timeout, prepare=embedded.revive)


def topology_at(url: SecretStr, settings: Settings) -> Topology:
    """Raises SettingsError for TLS files that cannot be used."""
    address, password = url.get_secret_value(), settings.redis_password
    try:
        if password is not None and password.get_secret_value():
            address = with_password(address, password.get_secret_value())
        return topology(address, settings.redis_timeout)
    except ValueError as error:
        raise SettingsError(f"redis_url ({PREFIX}REDIS_URL): {error}") from None


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
