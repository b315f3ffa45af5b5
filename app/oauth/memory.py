"""What is remembered of a sign-in elsewhere for as long as its session lasts; tokens are encrypted."""

import hashlib
import hmac
from collections.abc import Callable

import orjson
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from app.accounts.identities import Identities, Identity
from app.accounts.secret import digest
from app.oauth.errors import BadCallback
from app.oauth.models import LoggedOut, Person
from app.settings import Settings
from app.store import keys
from app.store.client import Store
from app.web.session import Session
from app.web.session_stores import signing_keys
from app.web.sessions import Sessions

HEADER = {"alg": "dir", "enc": "A256GCM"}
ALGORITHMS = ["dir", "A256GCM"]
LOGOUT_KEPT = 600
"""Seconds for which a provider's logout is known to have been obeyed; it is refused when it is older than that."""
DATA = "oauth"
"""Where in a session's data it is noted whose it is elsewhere."""


class Memory:
    """Raises StoreAway when Redis does not answer."""

    def __init__(self, settings: Settings, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._lifetime = settings.session_lifetime
        self._clock = clock
        self._keys = [_derived(key) for key in reversed(signing_keys(settings))]

    async def keep(self, session: Session, person: Person) -> None:
        """Notes in a new session whose it is elsewhere."""
        session.data[DATA] = {"iss": person.issuer, "sub": person.subject, "sid": person.session}
        if person.session:
            name = _session_name(person.issuer, person.session)
            await self._store.idempotent("SET", name, session.user, "EX", self._lifetime)
        if person.id_token and session.key:  # a session that is whole in its cookie has no room for it
            sealed = self._seal({"id_token": person.id_token})
            await self._store.idempotent("SET", keys.oauth_tokens(session.key), sealed, "EX", self._lifetime)

    async def id_token(self, session: Session) -> str:
        """The ID token of the session's sign-in; empty where there is none."""
        sealed = await self._store.idempotent("GET", keys.oauth_tokens(session.key)) if session.key else None
        return self._open(sealed.decode()).get("id_token", "") if sealed is not None else ""

    async def forget(self, session: Session) -> None:
        if session.key:
            await self._store.idempotent("DEL", keys.oauth_tokens(session.key))

    async def end(self, sessions: Sessions, identities: Identities, how: str, ended: LoggedOut) -> tuple[str, int]:
        """Ends the sessions that a provider has ended: (whose, how many). Raises BadCallback for a repetition.

        Those that were begun `how` (by its name) only: a session's data outlives a change of the password.
        """
        first = keys.oauth_logout(digest(f"{ended.issuer}\0{ended.id}"))
        if not await self._store.once("SET", first, b"", "NX", "EX", LOGOUT_KEPT):
            raise BadCallback("the logout token comes again")
        user = await self._user(identities, ended)
        count = 0
        for session in await sessions.of_user(user) if user else []:
            theirs = session.data.get(DATA) or {}
            same = session.how == how and theirs.get("iss") == ended.issuer and ended.subject in {"", theirs.get("sub")}
            if same and ended.session in {"", theirs.get("sid")}:
                count += await sessions.end_one(user, session.key)
                await self.forget(session)
        return user, count

    async def _user(self, identities: Identities, ended: LoggedOut) -> str:
        if ended.subject:
            return await identities.user_of(Identity(ended.issuer, ended.subject, "")) or ""
        found = await self._store.idempotent("GET", _session_name(ended.issuer, ended.session))
        return found.decode() if found is not None else ""

    def _seal(self, tokens: dict[str, str]) -> str:
        return jwe.encrypt_compact(HEADER, orjson.dumps(tokens), self._keys[0], algorithms=ALGORITHMS)

    def _open(self, sealed: str) -> dict[str, str]:
        """Empty where none of our keys has sealed it."""
        for key in self._keys:
            try:
                plain = jwe.decrypt_compact(sealed, key, algorithms=ALGORITHMS).plaintext
            except (JoseError, ValueError):
                continue
            tokens: dict[str, str] = orjson.loads(plain or b"{}")
            return tokens
        return {}


def _derived(key: str) -> OctKey:
    """A key for this alone: who has it cannot sign cookies."""
    return OctKey.import_key(hmac.digest(key.encode(), b"tallygate.oauth.tokens", hashlib.sha256))


def _session_name(issuer: str, session: str) -> str:
    return keys.oauth_session(digest(f"{issuer}\0{session}"))
