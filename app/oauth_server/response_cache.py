"""Caches responses of userinfo and introspection."""

from collections.abc import Callable

from app.accounts.lifespan import Accounts
from app.oauth_server.clients import Clients
from app.oauth_server.issuing import LiveToken
from app.oauth_server.models import Client
from app.oauth_server.store import OAuthStore

MAX_RESPONSES = 10_000
MAX_KEY_BYTES = 2048


class ResponseCache:
    """Responses by the credentials and the body of their request. One is valid while the user, client, family and
    session that it depends on are cached: Redis invalidates those.
    """

    def __init__(self, store: OAuthStore, clients: Clients, accounts: Accounts, clock: Callable[[], float]) -> None:
        self._store = store
        self._clients = clients
        self._sessions = accounts["sessions"]
        self._users = accounts["current_user"]
        self._clock = clock
        self._cached: dict[bytes, tuple[LiveToken, Client, bytes]] = {}

    def add(self, key: bytes, live: LiveToken, body: bytes, caller: Client | None = None) -> None:
        """`caller` is the client that introspects, if it is not the token's own."""
        if "wechat" in live.scopes or len(key) > MAX_KEY_BYTES:  # identities are not cached
            return
        if len(self._cached) >= MAX_RESPONSES:
            self._cached.clear()
        self._cached[key] = (live, caller or live.client, body)

    def find(self, key: bytes) -> bytes | None:
        if key not in self._cached:
            return None
        live, caller, body = self._cached[key]
        if self._is_unchanged(live) and self._clients.cached(caller.id) is caller:
            return body
        del self._cached[key]
        return None

    def _is_unchanged(self, live: LiveToken) -> bool:
        family = live.family
        return (
            live.expires is not None
            and self._clock() < live.expires
            and self._store.cached_family(family.id) is family
            and self._users.cached_by_id(live.user.id) is live.user
            and self._clients.cached(live.client.id) is live.client
            and (
                family.offline
                or not self._sessions.revocable
                or self._sessions.cached_by_root(family.session) is not None
            )
        )
