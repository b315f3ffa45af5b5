"""Authorization requests: each in a signed cookie of its own, so that two tabs can both finish; each used once."""

import asyncio
import hashlib
import hmac
import re
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace

import orjson
from itsdangerous import BadData, URLSafeSerializer
from starlette.types import Scope

from app.accounts.secret import digest
from app.oauth_client.models import AuthRequest
from app.sessions.signing import signing_keys
from app.settings import Settings
from app.store import keys
from app.store.client import Store
from app.store.records import from_stored
from app.web.cookies import cookie_header, delete_cookie, full_name, read_cookie, set_cookie
from app.web.headers import RawHeaders

LIFETIME = 600
"""Seconds between the start and the callback."""
OUTCOME_LIFETIME = 900
"""Seconds for which the outcome of a request is stored."""
DUPLICATE_WAIT = 10.0
"""Seconds to wait for a duplicate callback that is in progress."""
STATE = re.compile("[0-9a-f]{32}")
MAX_STATE_COOKIE_BYTES = 4096
"""Of all state cookies of one browser: every request carries them."""
MAX_NEXT_IN_COOKIE = 512
"""Characters of `next`; a longer one waits in Redis, so that it neither exceeds the cookie nor evicts other tabs."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a request: the user, the session, the path to go on to; an empty user after a failure.

    `browser` is a digest of the address and the User-Agent of the first callback.
    """

    user: str = ""
    session: str = ""
    next: str = "/"
    browser: str = ""


class AuthRequests:
    """Coroutines raise StoreUnavailable."""

    def __init__(self, settings: Settings, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._prefix = f"{settings.session_cookie}-oauth-"
        self._store = store
        self.now = clock
        self._serializer = URLSafeSerializer(
            signing_keys(settings), salt="tallygate.oauth", signer_kwargs={"digest_method": hashlib.sha256}
        )

    async def begin(self, scope: Scope, auth_request: AuthRequest) -> RawHeaders:
        """Set-Cookie headers that store the request in the browser, and delete the oldest unfinished ones."""
        if len(auth_request.next) > MAX_NEXT_IN_COOKIE:
            key = keys.oauth_next(digest(auth_request.state))
            await self._store.idempotent("SET", key, auth_request.next, "EX", LIFETIME)
            auth_request = replace(auth_request, next="")
        cookie = set_cookie(scope, self._name(auth_request.state), self._dump(auth_request), LIFETIME)
        headers, room = [cookie], MAX_STATE_COOKIE_BYTES - len(cookie[1])
        for name, size in reversed(self._present(scope)):  # browsers send the oldest first (RFC 6265, 5.4)
            room -= size
            if room < 0:
                headers.append(delete_cookie(scope, name))
        return headers

    async def find(self, scope: Scope, state: str) -> AuthRequest | None:
        """The request with this state, if this browser started it within LIFETIME."""
        value = read_cookie(cookie_header(scope), full_name(self._name(state), scope).encode("utf-8", "replace"))
        try:
            auth_request = AuthRequest(*self._serializer.loads(value or ""))
        except (BadData, TypeError):
            return None
        if not hmac.compare_digest(auth_request.state.encode(), state.encode("utf-8", "replace")):
            return None
        if self.now() >= auth_request.at + LIFETIME:
            return None
        return auth_request if auth_request.next else replace(auth_request, next=await self._long_next(state))

    async def _long_next(self, state: str) -> str:
        kept = await self._store.idempotent("GET", keys.oauth_next(digest(state)))
        return kept.decode() if kept else "/"

    def forget(self, scope: Scope, state: str) -> RawHeaders:
        """The headers that delete the request's cookie; none for a malformed state, which must not reach a header."""
        return [delete_cookie(scope, full_name(self._name(state), scope))] if STATE.fullmatch(state) else []

    async def take(self, state: str) -> bool:
        """Marks the request as used. Returns whether this is its first callback."""
        return bool(await self._store.once("SET", _key(state), b"", "NX", "EX", OUTCOME_LIFETIME))

    async def finish(self, state: str, outcome: Outcome) -> None:
        await self._store.idempotent("SET", _key(state), orjson.dumps(outcome), "EX", OUTCOME_LIFETIME)

    async def take_again(self, state: str) -> Outcome | None:
        """Takes the outcome: no other callback gets it until `finish` stores one again."""
        while outcome := await self.outcome(state):
            if await self._store.once("SET", _key(state), b"", "XX", "GET", "EX", OUTCOME_LIFETIME):
                return outcome
        return None

    async def outcome(self, state: str) -> Outcome | None:
        """Waits for the outcome; None if there is none in time."""
        deadline = asyncio.get_running_loop().time() + DUPLICATE_WAIT
        while (kept := await self._store.idempotent("GET", _key(state))) == b"":
            if asyncio.get_running_loop().time() > deadline:
                return None
            await asyncio.sleep(0.05)
        return from_stored(Outcome, orjson.loads(kept)) if kept else None

    def _dump(self, auth_request: AuthRequest) -> str:
        return str(self._serializer.dumps(astuple(auth_request)))

    def _name(self, state: str) -> str:
        return self._prefix + state[:12]

    def _present(self, scope: Scope) -> list[tuple[str, int]]:
        """(name, size) of the state cookies in the request."""
        prefix = full_name(self._prefix, scope).encode()
        pairs = [pair.strip() for pair in cookie_header(scope).split(b";")]
        names = {pair.partition(b"=")[0]: len(pair) for pair in pairs if pair.startswith(prefix) and pair.isascii()}
        return [(name.decode(), size) for name, size in names.items()]


def _key(state: str) -> str:
    return keys.oauth_attempt(digest(state))
