"""The part of the lifespan that opens the gateway, and the request state that it fills."""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypedDict

import orjson

from app.accounts.lifespan import Accounts, AccountState
from app.gateway.callers import Callers
from app.gateway.identity_cache import IdentityCache
from app.gateway.rule_config import BadRule, parse_rules, read_rules
from app.gateway.service import Gateway
from app.gateway.store import GatewayStore, write_counts
from app.server.background import background
from app.settings import Settings, SettingsError
from app.signing_keys.lifespan import Signing
from app.store.client import StoreUnavailable
from app.web.lifespan import WebState

COUNT_INTERVAL = 2.0
"""Seconds between two writes of the counts of decisions."""


class GatewayPart(TypedDict):
    """Filled by `open_gateway`."""

    gateway: Gateway


class GatewayState(AccountState, GatewayPart):
    """The request state of the gateway's handlers."""


@asynccontextmanager
async def open_gateway(
    web: WebState, accounts: Accounts, signing: Signing, clock: Callable[[], float]
) -> AsyncIterator[GatewayPart]:
    """Raises SettingsError for rules that cannot be used."""
    settings = web["settings"]
    check_gateway(settings)
    store = GatewayStore(web["store"], web["tracking"], clock)
    portal = portal_of(settings)
    gateway = Gateway(
        rules=parse_rules(settings.rules),
        portal=portal,
        callers=Callers(settings, store, accounts["sessions"], accounts["current_user"], accounts["tokens"]),
        identities=IdentityCache(signing["signing_keys"], portal, clock),
        store=store,
        clock=clock,
        fingerprints=tuple(map(fingerprint, settings.rules)),
    )
    web["live_settings"].follow(partial(with_rules, gateway))
    async with background(web["lifecycle"], write_counts(store, gateway.counts, COUNT_INTERVAL)):
        yield GatewayPart(gateway=gateway)
    if web["store"].up:
        with suppress(StoreUnavailable):
            await store.add_answers(gateway.counts)


def with_rules(gateway: Gateway, settings: Settings) -> GatewayPart:
    fingerprints = tuple(map(fingerprint, settings.rules))
    return GatewayPart(gateway=replace(gateway, rules=parse_rules(settings.rules), fingerprints=fingerprints))


def gateway_errors(settings: Settings) -> list[str]:
    """A line for each error."""
    _, errors = read_rules(settings.rules)
    try:
        check_gateway(settings)
    except SettingsError as error:
        return errors or [str(error)]
    return []


def check_gateway(settings: Settings) -> None:
    """Raises SettingsError, in one line."""
    try:
        parse_rules(settings.rules)
    except BadRule as error:
        raise SettingsError(str(error)) from None
    if not settings.rules:
        return
    if settings.session_store == "cookie":
        raise SettingsError(
            'rules: need session_store = "redis": a session in the cookie cannot be ended, so no sign-out would reach '
            "the protected hosts"
        )
    if settings.production and settings.public_url is None:
        raise SettingsError("rules: need public_url, the address to which protected hosts send browsers to sign in")


def portal_of(settings: Settings) -> str:
    return settings.public_url or f"http://localhost:{settings.port}"


def fingerprint(table: Mapping[str, Any]) -> str:
    """A short name of a rule that stays the same when other rules change."""
    return hashlib.sha256(orjson.dumps(table, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
