"""The part of the lifespan that opens OAuth providers, and the request state that it fills."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import structlog

from app.accounts.lifespan import AccountState, ProviderSignIn
from app.accounts.models import SignInOption
from app.http_client.client import SafeHttpClient
from app.oauth_client.auth_requests import AuthRequests
from app.oauth_client.errors import OAuthProblem
from app.oauth_client.metadata_cache import MetadataCache
from app.oauth_client.provider import ComponentToken, Provider, ProviderContext
from app.oauth_client.provider_config import configured, provider_errors
from app.oauth_client.provider_http import ProviderHttp
from app.oauth_client.provider_sessions import ProviderSessions
from app.oauth_client.refresh import Refresher
from app.sessions.session import Session
from app.settings import Settings
from app.settings.live import LiveSettings
from app.store.client import Store


class OAuthClient(ProviderSignIn):
    """Filled by `open_oauth_client`."""

    auth_requests: AuthRequests
    component_tokens: dict[str, ComponentToken]
    provider_sessions: ProviderSessions
    providers: Mapping[str, Provider]
    refresher: Refresher


class OAuthState(AccountState, OAuthClient):
    """The request state of the feature's handlers."""


@asynccontextmanager
async def open_oauth_client(
    live: LiveSettings, store: Store, clock: Callable[[], float] = time.time
) -> AsyncIterator[OAuthClient]:
    """Opens the configured providers. A wrong table is logged and left out. Raises SettingsError."""
    settings = live.own
    async with SafeHttpClient(
        timeout=settings.oauth_timeout,
        private=settings.private_providers,
        ca_file=settings.oauth_ca_file,
        proxy=settings.outgoing_proxy,
    ) as client:
        http = ProviderHttp(client)
        tokens: dict[str, ComponentToken] = {}
        context = ProviderContext(http, MetadataCache(store, http, clock), clock, settings.private_providers, tokens)
        for error in provider_errors(settings):
            structlog.get_logger("app").error("a provider is left out", why=error)
        provider_sessions = ProviderSessions(settings, store)
        opened = Providers(context)

        def rebuild(settings: Settings) -> dict[str, Any]:
            providers = opened.of(settings)
            return {
                "providers": providers,
                "sign_in_options": [SignInOption(it.name, it.label, it.reauthenticates) for it in providers.values()],
                "sign_out_redirect": partial(sign_out_url, provider_sessions, providers),
            }

        live.follow(rebuild)
        refresher = Refresher(
            lambda: live.state["providers"], provider_sessions, store, clock, timeout=settings.oauth_timeout
        )
        part = {
            "auth_requests": AuthRequests(settings, store, clock),
            "component_tokens": tokens,
            "provider_sessions": provider_sessions,
            "refresher": refresher,
        }
        yield cast(OAuthClient, part | rebuild(settings))


class Providers:
    """The open providers. A provider whose table has not changed is kept, with its cached metadata."""

    def __init__(self, context: ProviderContext) -> None:
        self._context = context
        self._open: dict[str, tuple[object, Provider]] = {}

    def of(self, settings: Settings) -> dict[str, Provider]:
        before, self._open = self._open, {}
        for name, make in configured(settings)[0].items():
            table, provider = before.get(name, (None, None))
            if provider is None or table != settings.oauth[name]:
                provider = make(self._context)
            self._open[name] = (settings.oauth[name], provider)
        return {name: provider for name, (_, provider) in self._open.items()}


async def sign_out_url(
    provider_sessions: ProviderSessions, providers: Mapping[str, Provider], session: Session | None, home: str
) -> str | None:
    """The provider's sign-out URL; None if there is none, or the provider is unavailable."""
    if session is None or (provider := providers.get(session.auth_method)) is None:
        return None
    provider_session = await provider_sessions.provider_session(session)
    try:
        return await provider.sign_out_url(
            provider_session.tokens.id_token if provider_session is not None else "", home
        )
    except OAuthProblem as problem:
        structlog.get_logger("app").warning(
            "the sign-out URL of the provider is unknown", provider=provider.name, why=problem.why
        )
        return None
