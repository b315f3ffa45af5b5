"""Answers of userinfo and introspection, kept by their question."""

from collections.abc import Callable

from app.accounts.lifespan import Accounts
from app.oauth_server.clients import Clients
from app.oauth_server.issuing import LiveToken
from app.oauth_server.models import Client
from app.oauth_server.store import OAuthStore

MAX_RESPONSES = 10_000
MAX_QUESTION_LENGTH = 2048


class KeptAnswers:
    """Answers by what they depend on of a request: the Authorization header, a body. One counts only as long as
    everything that it was made of is cached, which Redis' invalidations see to.
    """

    def __init__(self, store: OAuthStore, clients: Clients, accounts: Accounts, clock: Callable[[], float]) -> None:
        self._store = store
        self._clients = clients
        self._sessions = accounts["sessions"]
        self._users = accounts["current_user"]
        self._clock = clock
        self._kept: dict[bytes, tuple[LiveToken, Client, bytes]] = {}

    def keep(self, question: bytes, live: LiveToken, body: bytes, caller: Client | None = None) -> None:
        """`caller` is the client that asks, where that is not the token's own."""
        if "wechat" in live.scopes or len(question) > MAX_QUESTION_LENGTH:  # identities are not cached
            return
        if len(self._kept) >= MAX_RESPONSES:
            self._kept.clear()
        self._kept[question] = (live, caller or live.client, body)

    def find(self, question: bytes) -> bytes | None:
        if question not in self._kept:
            return None
        live, caller, body = self._kept[question]
        if self._is_unchanged(live) and self._clients.cached(caller.id) is caller:
            return body
        del self._kept[question]
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
