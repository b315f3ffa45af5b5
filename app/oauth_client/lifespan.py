"""Opens what signing in elsewhere needs, for the lifespan."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TypedDict

import structlog

from app.accounts.models import Elsewhere
from app.accounts.state import Farewell
from app.http_client.client import Outside
from app.oauth_client.auth_requests import Attempts
from app.oauth_client.errors import OAuthProblem
from app.oauth_client.metadata_cache import Documents
from app.oauth_client.provider import Provider, Tools
from app.oauth_client.provider_config import configured
from app.oauth_client.provider_sessions import Memory
from app.oauth_client.refresh import Refresher
from app.sessions.session import Session
from app.settings import Settings
from app.store.client import Store


class OAuth(TypedDict):
    """What signing in elsewhere adds to the state of requests."""

    attempts: Attempts
    elsewhere: Sequence[Elsewhere]
    farewell: Farewell
    memory: Memory
    providers: Mapping[str, Provider]
    refresher: Refresher


@asynccontextmanager
async def open_oauth(settings: Settings, store: Store, clock: Callable[[], float] = time.time) -> AsyncIterator[OAuth]:
    """A provider whose table is wrong is named in the log; the others work. Raises SettingsError."""
    async with Outside(
        timeout=settings.oauth_timeout, private=settings.private_providers, ca_file=settings.oauth_ca_file
    ) as outside:
        tools = Tools(outside, Documents(store, outside, clock), clock, settings.private_providers)
        good, mistakes = configured(settings)
        for mistake in mistakes:
            structlog.get_logger("app").error("a provider is left out", why=mistake)
        providers = {name: make(tools) for name, make in good.items()}
        memory = Memory(settings, store)
        yield OAuth(
            attempts=Attempts(settings, store, clock),
            elsewhere=[Elsewhere(each.name, each.label) for each in providers.values()],
            farewell=partial(sign_out_url, memory, providers),
            memory=memory,
            providers=providers,
            refresher=Refresher(providers, memory, store, clock, timeout=settings.oauth_timeout),
        )


async def sign_out_url(
    memory: Memory, providers: Mapping[str, Provider], session: Session | None, home: str
) -> str | None:
    """Where to go on to after signing out here; a provider that is away does not keep anybody from that."""
    if session is None or (provider := providers.get(session.how)) is None:
        return None
    origin = await memory.origin(session)
    try:
        return await provider.sign_out_url(origin.tokens.id_token if origin is not None else "", home)
    except OAuthProblem as problem:
        structlog.get_logger("app").warning("signing out elsewhere failed", provider=provider.name, why=problem.why)
        return None
