"""The part of the lifespan that opens OAuth providers, and the request state that it fills."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import structlog

from app.accounts.lifespan import AccountState, SignInElsewhere
from app.accounts.models import SignInOption
from app.http_client.client import SafeHttpClient
from app.oauth_client.auth_requests import AuthRequests
from app.oauth_client.errors import OAuthProblem
from app.oauth_client.metadata_cache import MetadataCache
from app.oauth_client.provider import Provider, ProviderContext
from app.oauth_client.provider_config import configured
from app.oauth_client.provider_http import ProviderHttp
from app.oauth_client.provider_sessions import ProviderSessions
from app.oauth_client.refresh import Refresher
from app.sessions.session import Session
from app.settings import Settings
from app.store.client import Store


class OAuthClient(SignInElsewhere):
    """Filled by `open_oauth_client`."""

    auth_requests: AuthRequests
    provider_sessions: ProviderSessions
    providers: Mapping[str, Provider]
    refresher: Refresher


class OAuthState(AccountState, OAuthClient):
    """The request state of the feature's handlers."""


@asynccontextmanager
async def open_oauth_client(
    settings: Settings, store: Store, clock: Callable[[], float] = time.time
) -> AsyncIterator[OAuthClient]:
    """Opens the configured providers. A wrong table is logged and left out. Raises SettingsError."""
    async with SafeHttpClient(
        timeout=settings.oauth_timeout,
        private=settings.private_providers,
        ca_file=settings.oauth_ca_file,
        proxy=settings.outgoing_proxy,
    ) as client:
        http = ProviderHttp(client)
        context = ProviderContext(http, MetadataCache(store, http, clock), clock, settings.private_providers)
        good, mistakes = configured(settings)
        for mistake in mistakes:
            structlog.get_logger("app").error("a provider is left out", why=mistake)
        providers = {name: make(context) for name, make in good.items()}
        provider_sessions = ProviderSessions(settings, store)
        yield OAuthClient(
            auth_requests=AuthRequests(settings, store, clock),
            sign_in_options=[SignInOption(each.name, each.label, each.reauthenticates) for each in providers.values()],
            sign_out_redirect=partial(sign_out_url, provider_sessions, providers),
            provider_sessions=provider_sessions,
            providers=providers,
            refresher=Refresher(providers, provider_sessions, store, clock, timeout=settings.oauth_timeout),
        )


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
        structlog.get_logger("app").warning("signing out elsewhere failed", provider=provider.name, why=problem.why)
        return None
