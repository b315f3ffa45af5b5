"""Back-channel logout (OpenID Connect Back-Channel Logout 1.0): tells clients of the end of a session.

The messages wait in Redis and are sent beside the requests, by any worker: a client that is slow or away delays nobody.
"""

import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import structlog

from app.http_client.client import HttpClientError, SafeHttpClient
from app.oauth_server.clients import Clients
from app.oauth_server.issuing import Issuing
from app.oauth_server.logout_store import LogoutFailure, LogoutMessage, LogoutStore
from app.oauth_server.models import Client
from app.oauth_server.tokens import sid_of
from app.server.attempts import Attempts
from app.sessions.session import Session

EVENT = "http://schemas.openid.net/event/backchannel-logout"
RETRIES = (5, 30, 120, 600, 1800)
"""Seconds between attempts; after the last one the message is dropped."""
TIMEOUT = 5.0
"""Seconds for one attempt."""
TOKEN_LIFETIME = 120
LEASE = 60.0
"""Seconds until another worker takes over an attempt."""
MAX_ATTEMPTS, MAX_PER_CLIENT = 40, 4
"""Concurrent attempts of a worker: to all clients, and to one."""


class BackChannel:
    def __init__(
        self, store: LogoutStore, clients: Clients, issuing: Issuing, http: SafeHttpClient, clock: Callable[[], float]
    ) -> None:
        self.store = store
        self._clients = clients
        self._issuing = issuing
        self._http = http
        self._clock = clock
        self._attempts = Attempts(MAX_ATTEMPTS)
        self._log = structlog.get_logger("app")

    async def session_signs_in(self, session: Session, client: Client) -> None:
        """Notes that the client is to be told of the session's end. Raises StoreUnavailable."""
        if client.logout_uri is not None and session.root:
            await self.store.sign_in(session.root, client.id)

    async def session_ends(self, session: Session) -> None:
        """Queues a message for each client that the session signed in to. Raises StoreUnavailable."""
        clients = await self.store.signed_in(session.root) if session.root else []
        for client_id in clients:
            message = LogoutMessage(client_id, session.user, sid_of(session.root))
            if not await self.store.enqueue(message, self._clock()):
                self._log.warning("a logout message is dropped: too many wait", client=client_id)
        if clients:
            await self.store.forget(session.root)
            self._attempts.wake()

    async def run(self) -> None:
        """Sends until cancelled."""
        await self._attempts.run(self._start_due)

    async def _start_due(self) -> None:
        for message_id, message in await self.store.claim(self._clock(), LEASE, self._attempts.room):
            if self._attempts.running[message.client] >= MAX_PER_CLIENT:
                await self.store.retry(message_id, message, self._clock() + TIMEOUT)
            else:
                self._attempts.start(message.client, partial(self._deliver, message_id, message))

    async def _deliver(self, message_id: str, message: LogoutMessage) -> None:
        client = await self._clients.get(message.client)
        if client is None or client.logout_uri is None:
            await self.store.settle(message_id)
            return
        why = await self._send(client.logout_uri, await self._token(client, message))
        if why is None:
            await self.store.settle(message_id)
            await self.store.note_failure(client.id, None)
        elif message.tries < len(RETRIES):
            due = self._clock() + RETRIES[message.tries]
            await self.store.retry(message_id, replace(message, tries=message.tries + 1), due)
        else:
            self._log.warning("a client does not take a logout: given up", client=client.id, why=why)
            await self.store.note_failure(client.id, LogoutFailure(self._clock(), why))
            await self.store.settle(message_id)

    async def _send(self, uri: str, token: str) -> str | None:
        """Returns None if the client accepted it, else the reason."""
        try:
            response = await self._http.request("POST", uri, data={"logout_token": token})
        except HttpClientError as error:
            return str(error)
        return None if response.status in (200, 204) else f"{response.request}: {response.status}"

    async def _token(self, client: Client, message: LogoutMessage) -> str:
        now = int(self._clock())
        claims = {
            "iss": self._issuing.issuer, "aud": client.id, "iat": now, "exp": now + TOKEN_LIFETIME,
            "jti": secrets.token_urlsafe(16), "sub": await self._issuing.subject(message.user, client),
            "sid": await self._issuing.sid(message.sid, client), "events": {EVENT: {}},
        }  # fmt: skip
        return await self._issuing.keys.sign(claims, alg=client.id_token_alg, typ="logout+jwt")
