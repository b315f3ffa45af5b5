"""Opens what signing in elsewhere needs, for the lifespan."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypedDict

import structlog

from app.accounts.models import Elsewhere
from app.oauth.attempts import Attempts
from app.oauth.documents import Documents
from app.oauth.errors import Misconfigured
from app.oauth.http import Outside
from app.oauth.provider import Provider, Tools
from app.oauth.providers import PROVIDERS
from app.settings import Settings
from app.store.client import Store

RESERVED = frozenset({"password", "setup", "sign-up", "flask", "tornado", "unlink"})
"""Other ways to come in, by which sessions are marked, too; and a word of an address."""


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
        providers = {}
        for name, table in settings.oauth.items():
            try:
                providers[name] = provider(name, table, tools)
            except Misconfigured as mistake:
                structlog.get_logger("app").error("provider is left out", provider=name, why=str(mistake))
        buttons = [Elsewhere(each.name, each.label) for each in providers.values()]
        yield OAuth(attempts=Attempts(settings, store, clock), elsewhere=buttons, providers=providers)


def provider(name: str, table: Mapping[str, Any], tools: Tools) -> Provider:
    """Raises Misconfigured."""
    if name in RESERVED:
        raise Misconfigured(f"oauth.{name}: the name is taken, choose another")
    kind = table.get("type")
    if kind not in PROVIDERS:
        raise Misconfigured(f"oauth.{name}.type: must be one of {', '.join(sorted(PROVIDERS))}")
    return PROVIDERS[kind](name, table, tools)
