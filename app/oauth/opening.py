"""Opens what signing in elsewhere needs, for the lifespan."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypedDict

import structlog

from app.accounts.models import Elsewhere
from app.oauth.attempts import Attempts
from app.oauth.configured import configured
from app.oauth.documents import Documents
from app.oauth.http import Outside
from app.oauth.provider import Provider, Tools
from app.settings import Settings
from app.store.client import Store


class OAuth(TypedDict):
    """What signing in elsewhere adds to the state of requests."""

    attempts: Attempts
    elsewhere: Sequence[Elsewhere]
    providers: Mapping[str, Provider]


@asynccontextmanager
async def open_oauth(settings: Settings, store: Store, clock: Callable[[], float] = time.time) -> AsyncIterator[OAuth]:
    """A provider whose table is wrong is named in the log; the others work."""
    if not settings.oauth:
        yield OAuth(attempts=Attempts(settings, store, clock), elsewhere=[], providers={})
        return
    async with Outside(timeout=settings.oauth_timeout, private=settings.private_providers) as outside:
        tools = Tools(outside, Documents(store, outside, clock), clock, settings.private_providers)
        good, mistakes = configured(settings)
        for mistake in mistakes:
            structlog.get_logger("app").error("a provider is left out", why=mistake)
        providers = {name: make(tools) for name, make in good.items()}
        buttons = [Elsewhere(each.name, each.label) for each in providers.values()]
        yield OAuth(attempts=Attempts(settings, store, clock), elsewhere=buttons, providers=providers)
