"""The part of the lifespan that opens the OpenID provider, and the request state that it fills."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypedDict

import structlog

from app.accounts.lifespan import Accounts, AccountState
from app.http_client.client import SafeHttpClient
from app.oauth_server.backchannel import TIMEOUT, BackChannel
from app.oauth_server.client_auth import AUTHENTICATED, ClientAuthentication
from app.oauth_server.client_store import ClientStore
from app.oauth_server.clients import Clients, client_errors, configured_clients
from app.oauth_server.device_store import DeviceStore
from app.oauth_server.issuing import Issuing
from app.oauth_server.logout_store import LogoutStore
from app.oauth_server.response_cache import ResponseCache
from app.oauth_server.store import OAuthStore
from app.oauth_server.tokens import TokenFormat
from app.server.background import background
from app.sessions.signing import signing_keys
from app.settings import Settings
from app.signing_keys.lifespan import Signing
from app.web.lifespan import WebState


@dataclass(frozen=True, slots=True)
class Provider:
    """The provider's parts. Without `public_url` the `issuer` is None, and the provider is off."""

    issuer: str | None
    clients: Clients
    authentication: ClientAuthentication
    issuing: Issuing
    store: OAuthStore
    backchannel: BackChannel
    devices: DeviceStore
    response_cache: ResponseCache
    clock: Callable[[], float]


class OAuthServer(TypedDict):
    """Filled by `open_oauth_server`."""

    oauth_server: Provider


class OAuthServerState(AccountState, Signing, OAuthServer):
    """The request state of the feature's handlers."""


@asynccontextmanager
async def open_oauth_server(
    web: WebState, accounts: Accounts, signing: Signing, clock: Callable[[], float] = time.time
) -> AsyncIterator[OAuthServer]:
    """Opens the configured clients, and sends logout messages until the block ends. A wrong table is logged and left
    out. Raises SettingsError.
    """
    settings = web["settings"]
    issuer = settings.public_url
    store = OAuthStore(web["store"], web["tracking"], clock)
    for error in client_errors(settings):
        structlog.get_logger("app").error("a client is left out", why=error)
    clients = Clients(ClientStore(web["store"], web["tracking"]), configured_clients(settings)[0])
    audiences = frozenset({issuer, *(f"{issuer}/oauth2/{path}" for path in AUTHENTICATED)} if issuer else ())
    issuing = Issuing(
        issuer or "", store, clients, accounts, signing["signing_keys"], TokenFormat(signing_keys(settings)), clock
    )
    authentication = ClientAuthentication(clients, audiences, clock)
    async with SafeHttpClient(
        timeout=TIMEOUT,
        private=settings.private_providers,
        ca_file=settings.oauth_ca_file,
        proxy=settings.outgoing_proxy,
    ) as http:
        logouts = LogoutStore(web["store"], settings.session_absolute_timeout)
        backchannel = BackChannel(logouts, clients, issuing, http, clock)
        devices = DeviceStore(web["store"], clock)
        responses = ResponseCache(store, clients, accounts, clock)
        opened = OAuthServer(
            oauth_server=Provider(
                issuer, clients, authentication, issuing, store, backchannel, devices, responses, clock
            )
        )

        def rebuild(settings: Settings) -> OAuthServer:
            clients.configured = configured_clients(settings)[0]
            return opened

        accounts["sessions"].watch(backchannel.session_ends)
        web["live_settings"].follow(rebuild)
        async with background(web["lifecycle"], backchannel.run()):
            yield opened
