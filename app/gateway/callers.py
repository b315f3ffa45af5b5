"""The user of a request: by the host's session cookie, the portal's, or an API token."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from itsdangerous import BadSignature
from starlette.types import Scope

from app.accounts.api_tokens.scopes import READ_METHODS
from app.accounts.api_tokens.tokens import PREFIX, ApiTokens
from app.accounts.models import User
from app.accounts.secret import digest
from app.accounts.sign_in.current_user import CurrentUser
from app.gateway.models import HostSession
from app.gateway.responses import OutOfScope
from app.gateway.store import GatewayStore
from app.sessions.legacy.cookies import LEGACY_METHODS
from app.sessions.service import Sessions
from app.sessions.session import Session
from app.sessions.signing import StrictSigner, signing_keys
from app.settings import Settings
from app.store.tracking import Pin
from app.web.cookies import cookie_header, delete_cookie, full_name, read_cookie, set_cookie
from app.web.headers import RawHeader

MAX_CACHED_COOKIES, MAX_CACHED_COOKIE_BYTES = 10_000, 2048
"""Cookie headers that a worker maps to host sessions, and the longest in bytes."""


class BadCredentials(Exception):
    """The token of the request is unknown, revoked or expired."""


@dataclass(frozen=True, slots=True)
class Caller:
    """`session` is the portal's, None for an API token; `host_key` names the host's session, if there is one."""

    user: User
    session: Session | None
    host_key: str = ""


class Callers:
    def __init__(
        self, settings: Settings, store: GatewayStore, sessions: Sessions, users: CurrentUser, tokens: ApiTokens
    ) -> None:
        self._cookie = f"{settings.session_cookie}-site"
        self._domain = settings.gateway_cookie_domain or ""
        self._max_age = settings.session_absolute_timeout
        self._signer = StrictSigner(signing_keys(settings), "tallygate.gateway", digest_method=hashlib.sha256)
        self._store = store
        self._sessions = sessions
        self._users = users
        self._tokens = tokens
        self._known: dict[tuple[bytes, str, str], str] = {}

    def is_anonymous(self, scope: Scope, headers: Mapping[bytes, bytes], cookies: bytes) -> bool:
        """Whether the request has no credentials of this service."""
        if secret_of(headers) is not None:
            return False
        return not cookies or (self._cookie.encode() not in cookies and self._sessions.absent(scope, cookies))

    def cached(
        self, scope: Scope, headers: Mapping[bytes, bytes], cookies: bytes, host: str, method: str
    ) -> Caller | None:
        """The caller of a token or raw cookies, without Redis; None if `find` has to be used."""
        secret = secret_of(headers)
        if secret is not None:
            token = self._tokens.cached_use(secret)
            allowed = token is not None and token.allows("gateway", write=method not in READ_METHODS)
            user = self._users.cached_by_id(token.user_id) if token is not None and allowed else None
            return Caller(user, None) if user is not None else None
        if not cookies:
            return None
        key = self._known.get((cookies, scope["scheme"], host))
        if key is None:
            session = self._sessions.cached(scope, cookies) if self._cookie.encode() not in cookies else None
            key = ""
        else:
            found = self._store.cached_session(key)
            session = self._sessions.cached_by_root(found.parent) if found is not None else None
        user = self._users.cached_by_id(session.user) if session is not None else None
        return None if session is None or user is None else Caller(user, session, key)

    def pins(self, caller: Caller) -> tuple[tuple[Pin, ...], float]:
        """(pins that detect a change of the caller, Unix seconds until which Redis is not needed)."""
        if caller.session is None:
            return (), 0.0
        of_session, until = self._sessions.pin(caller.session)
        every = [of_session, self._users.pin(caller.user.id)]
        if caller.host_key:
            every.append(self._store.pin(caller.host_key))
        pins = tuple(pin for pin in every if pin is not None)
        return pins, until if len(pins) == len(every) else 0.0

    async def find(self, scope: Scope, headers: Mapping[bytes, bytes], host: str, method: str = "GET") -> Caller | None:
        """The caller; None without valid cookies. Raises BadCredentials, OutOfScope, StoreUnavailable."""
        secret = secret_of(headers)
        if secret is not None:
            return await self._of_token(secret, scope["client"][0] if scope["client"] else "", method)
        cookies = cookie_header(scope)
        key = self.host_key(scope, cookies, host)
        session = await self._of_host(key, host) if key is not None else None
        if session is not None and key is not None:
            self._cache((cookies, scope["scheme"], host), key)
        else:
            key, session = None, await self._sessions.by_cookie(scope, cookies)
        user = await self._users.by_id(session.user) if session is not None else None
        return Caller(user, session, key or "") if user is not None else None

    def host_key(self, scope: Scope, cookies: bytes, host: str) -> str | None:
        """The key of the host's session by a raw Cookie header; None without a genuine cookie."""
        cookie = read_cookie(cookies, full_name(self._cookie, scope, self._domain_of(host)).encode())
        try:
            return digest(self._signer.unsign(cookie).decode()) if cookie else None
        except BadSignature:
            return None

    async def start(self, scope: Scope, session: Session, host: str) -> RawHeader:
        """Signs in at a host. Returns the Set-Cookie header."""
        secret = await self._store.create_session(
            HostSession(session.user, session.root, self._scope_of(host)), self._max_age
        )
        max_age, domain = None if session.brief else self._max_age, self._domain_of(host)
        return set_cookie(scope, self._cookie, self._signer.sign(secret).decode(), max_age, domain)

    def delete(self, scope: Scope, host: str) -> RawHeader:
        domain = self._domain_of(host)
        return delete_cookie(scope, full_name(self._cookie, scope, domain), domain)

    def _domain_of(self, host: str) -> str:
        """The domain whose hosts share a session, if this is one of them; else empty."""
        return self._domain if f".{host}".endswith(f".{self._domain}") else ""

    def _scope_of(self, host: str) -> str:
        """The scope of a session that begins at this host: the host, or all hosts of the domain (`.domain`)."""
        return f".{self._domain}" if self._domain_of(host) else host

    async def _of_host(self, key: str, host: str) -> Session | None:
        """The portal's session of a host's session; None if it has ended, or the cookie is another host's."""
        found = await self._store.session(key)
        return (
            await self._sessions.by_root(found.parent)
            if found is not None and found.host == self._scope_of(host)
            else None
        )

    async def _of_token(self, secret: str, address: str, method: str) -> Caller:
        token = await self._tokens.use(secret, address)
        user = await self._users.by_id(token.user_id) if token is not None else None
        if token is None or user is None:
            raise BadCredentials
        write = method not in READ_METHODS
        if not token.allows("gateway", write=write):
            raise OutOfScope(scope=f"gateway:{'write' if write else 'read'}")
        return Caller(user, None)

    def _cache(self, place: tuple[bytes, str, str], key: str) -> None:
        if len(place[0]) <= MAX_CACHED_COOKIE_BYTES:
            if len(self._known) >= MAX_CACHED_COOKIES:
                self._known.clear()
            self._known[place] = key


def secret_of(headers: Mapping[bytes, bytes]) -> str | None:
    """The API token of an Authorization header: Bearer, or the password of Basic. None for other credentials: they are
    the application's.
    """
    scheme, _, value = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    secret = value.strip()
    if scheme.lower() == "basic":
        try:
            secret = base64.b64decode(secret, validate=True).decode("latin-1").partition(":")[2]
        except (binascii.Error, ValueError):
            return None
    elif scheme.lower() != "bearer":
        return None
    return secret if secret.startswith(PREFIX) else None


def signed_in_at(session: Session) -> float:
    """Unix seconds of the session's last authentication; 0 for a legacy cookie, which proves nothing."""
    return 0.0 if session.auth_method in LEGACY_METHODS else session.auth_time or session.created
