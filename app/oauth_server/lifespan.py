"""The part of the lifespan that opens the OpenID provider, and the request state that it fills."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

import structlog

from app.accounts.lifespan import Accounts, AccountState
from app.oauth_server.client_auth import ClientAuthentication
from app.oauth_server.clients import Clients, client_mistakes, configured_clients
from app.oauth_server.issuing import Issuing
from app.oauth_server.store import OAuthStore
from app.oauth_server.tokens import TokenFormat
from app.sessions.signing import signing_keys
from app.settings import Settings
from app.signing_keys.lifespan import Signing
from app.web.lifespan import WebState


@dataclass(frozen=True, slots=True)
class Provider:
    """The provider's parts. `issuer` is None without `public_url`: the provider is off then."""

    issuer: str | None
    clients: Clients
    authentication: ClientAuthentication
    issuing: Issuing
    store: OAuthStore
    clock: Callable[[], float]


class OAuthServer(TypedDict):
    """Filled by `open_oauth_server`."""

    oauth_server: Provider


class OAuthServerState(AccountState, Signing, OAuthServer):
    """The request state of the feature's handlers."""


def open_oauth_server(
    web: WebState, accounts: Accounts, signing: Signing, clock: Callable[[], float] = time.time
) -> OAuthServer:
    """Opens the configured clients. A wrong table is logged and left out."""
    settings = web["settings"]
    issuer = settings.public_url
    store = OAuthStore(web["store"], web["tracking"], clock)
    for mistake in client_mistakes(settings):
        structlog.get_logger("app").error("a client is left out", why=mistake)
    audiences = frozenset({issuer, f"{issuer}/oauth2/token"} if issuer else ())
    formats = TokenFormat(signing_keys(settings))

    def rebuild(settings: Settings) -> OAuthServer:
        clients = Clients(store, configured_clients(settings)[0])
        issuing = Issuing(issuer or "", store, clients, accounts, signing["signing_keys"], formats, clock)
        authentication = ClientAuthentication(clients, audiences, clock)
        return OAuthServer(oauth_server=Provider(issuer, clients, authentication, issuing, store, clock))

    web["live_settings"].follow(rebuild)
    return rebuild(settings)
