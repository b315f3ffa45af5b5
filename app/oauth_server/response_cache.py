"""Caches responses of userinfo and introspection."""

from collections.abc import Callable
from typing import NamedTuple

from app.accounts.lifespan import Accounts
from app.accounts.models import User
from app.oauth_server.clients import Clients
from app.oauth_server.issuing import LiveToken
from app.oauth_server.models import Client
from app.oauth_server.store import OAuthStore
from app.store.tracking import Pin

MAX_RESPONSES = 10_000
MAX_KEY_BYTES = 2048


class CachedResponse(NamedTuple):
    """A body that holds until a time (Unix seconds), a client changes, or one of the pinned values does: the family,
    the user and the session of its token.
    """

    body: bytes
    until: float
    pins: tuple[Pin, ...]
    user: User
    clients: tuple[Client, ...]


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
        self._cached: dict[bytes, CachedResponse] = {}

    def add(self, key: bytes, live: LiveToken, body: bytes, caller: Client | None = None) -> None:
        """`caller` is the client that introspects, if it is not the token's own."""
        pins, until = self._pins(live)
        if "wechat" in live.scopes or len(key) > MAX_KEY_BYTES or not pins:  # identities are not cached
            return
        if until <= self._clock():  # of a refresh token
            return
        if len(self._cached) >= MAX_RESPONSES:
            self._cached.clear()
        known = (live.client,) if caller is None or caller is live.client else (live.client, caller)
        self._cached[key] = CachedResponse(body, until, pins, live.user, known)

    def _pins(self, live: LiveToken) -> tuple[tuple[Pin, ...], float]:
        """(what the token depends on; nothing if some of it has changed or is not cached, until when it holds)."""
        family, user = self._store.pin_family(live.family.id), self._users.pin(live.user.id)
        if family is None or family.value is not live.family or user is None or user.value is not live.user:
            return (), 0.0
        until = live.expires or 0.0
        if live.family.outlives_session(live.client) or not self._sessions.revocable:
            return (family, user), until
        session = self._sessions.cached_by_root(live.family.session)
        pin, due = self._sessions.pin(session) if session is not None else (None, 0.0)
        return ((family, user, pin), min(until, due)) if pin is not None else ((), 0.0)

    def find(self, key: bytes) -> bytes | None:
        response = self._cached.get(key)
        if response is None:
            return None
        if self._holds(response):
            return response.body
        del self._cached[key]
        return None

    def _holds(self, response: CachedResponse) -> bool:
        if self._clock() >= response.until or self._users.must_enroll(response.user):
            return False
        for current, key, value in response.pins:
            if current(key) is not value:
                return False
        cached = self._clients.cached
        return all(cached(client.id) is client for client in response.clients)
