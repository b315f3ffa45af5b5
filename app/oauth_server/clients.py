"""All clients: those of the settings and those in Redis."""

from collections.abc import Mapping
from typing import Any

from app.oauth_server.client_config import BadClient, from_toml
from app.oauth_server.client_store import ClientStore
from app.oauth_server.models import Client
from app.settings import Settings


class Clients:
    """A client of the settings hides one of the same id in Redis. Coroutines raise StoreUnavailable."""

    def __init__(self, store: ClientStore, configured: Mapping[str, Client]) -> None:
        self.store = store
        self.configured = configured

    async def find(self, client_id: str) -> Client | None:
        """The client, unless it is disabled."""
        return _enabled(await self.get(client_id))

    def cached(self, client_id: str) -> Client | None:
        """As `find`, without asking Redis; None also if the client is not cached."""
        return _enabled(self.configured.get(client_id) or self.store.cached(client_id))

    async def get(self, client_id: str) -> Client | None:
        """The client, also a disabled one."""
        if client_id in self.configured:
            return self.configured[client_id]
        return await self.store.find(client_id) if len(client_id) <= 64 and "\0" not in client_id else None


def configured_clients(settings: Settings) -> tuple[dict[str, Client], list[str]]:
    """(the clients of the settings, a line for each wrong table). An error disables that client alone."""
    clients: dict[str, Client] = {}
    errors = []
    for client_id, table in settings.clients.items():
        try:
            clients[client_id] = from_toml(client_id, _plain(table), any_http=not settings.production)
        except BadClient as bad:
            errors.append(f"clients.{client_id}.{bad}")
    return clients, errors


def client_errors(settings: Settings) -> list[str]:
    return configured_clients(settings)[1]


def _enabled(client: Client | None) -> Client | None:
    return None if client is None or client.disabled else client


def _plain(table: Any) -> Mapping[str, Any]:
    if not isinstance(table, Mapping):
        raise BadClient("table", "must be a table")
    return table
