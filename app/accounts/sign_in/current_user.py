"""The user of a request's session or API token."""

from typing import Any
from urllib.parse import quote

from starlette.types import Scope

from app.accounts.api_tokens.scopes import needed
from app.accounts.api_tokens.tokens import ApiTokens, TokenInfo
from app.accounts.models import User
from app.sessions.context import forget_session
from app.sessions.service import Sessions
from app.sessions.session import Session
from app.settings.live import LiveSettings
from app.store import keys
from app.store.tracking import Pin, TrackedHashes
from app.web.errors import Forbidden
from app.web.headers import headers_of
from app.web.i18n import N_

USER = "tallygate.user"
TOKEN_PATHS = ("/api/", "/events/config/")
"""Where API tokens replace sessions."""


class CurrentUser:
    """Users are cached in each worker until Redis invalidates them, like their sessions.

    A user who has to set up a second factor first does not count as signed in, except for `enrolling`.
    """

    def __init__(self, live: LiveSettings, sessions: Sessions, users: TrackedHashes[User], tokens: ApiTokens) -> None:
        self._live = live
        self._sessions = sessions
        self._users = users
        self._tokens = tokens

    async def get(self, scope: Scope) -> User | None:
        """The user; None if the request has no session or token, or the account is disabled.

        An API token replaces a session in `/api/` only. Raises StoreUnavailable.
        """
        if USER not in scope:
            user_id = await self._user_id(scope)
            scope[USER] = self._able(await self._users.read(keys.user(user_id))) if user_id else None
        user: User | None = scope[USER]
        return user

    def forget(self, scope: Scope) -> None:
        """For a request that lasts: `get` finds out anew, the session may have ended meanwhile."""
        scope.pop(USER, None)
        forget_session(scope)

    async def error_header(self, scope: Scope) -> dict[str, Any]:
        """The user's name and menu for the header of an error page. Raises StoreUnavailable."""
        path = scope["path"] if scope["method"] in {"GET", "HEAD"} else "/"
        return {"user": await self.get(scope), "sign_in_url": f"/sign-in?next={quote(path, safe='/')}"}

    def cached(self, scope: Scope, cookies: bytes) -> tuple[User, Session] | None:
        """The user and the session of a raw Cookie header if both are cached; None otherwise."""
        session = self._sessions.cached(scope, cookies)
        user = self._able(self._users.cached(keys.user(session.user))) if session is not None else None
        return (user, session) if user is not None and session is not None else None

    async def by_id(self, user_id: str) -> User | None:
        """The user; None if there is none, or the account is disabled. Raises StoreUnavailable."""
        return self._able(await self._users.read(keys.user(user_id)))

    def cached_by_id(self, user_id: str) -> User | None:
        """The user if it is cached and not disabled; None otherwise."""
        return self._able(self._users.cached(keys.user(user_id)))

    def pin(self, user_id: str) -> Pin | None:
        """Detects a change of a cached user."""
        return self._users.pin(keys.user(user_id))

    async def enrolling(self, scope: Scope) -> User | None:
        """The session's user, if that user must set up a second factor first; None otherwise."""
        session = await self._sessions.open(scope)
        user = await self._users.read(keys.user(session.user)) if session is not None else None
        return user if user is not None and not user.disabled and self.must_enroll(user) else None

    def must_enroll(self, user: User) -> bool:
        """Whether the setting `second_factor` asks the user for a second factor, and there is none."""
        return not user.second_factors and self.requires_second_factor(user)

    def requires_second_factor(self, user: User) -> bool:
        required_of = self._live.current.second_factor
        return required_of == "everybody" or (required_of == "administrators" and user.is_admin)

    def _able(self, user: User | None) -> User | None:
        return None if user is None or user.disabled or self.must_enroll(user) else user

    async def _user_of_token(self, scope: Scope, secret: str) -> str | None:
        """Raises Forbidden for what the token's scopes do not allow."""
        token = await self._tokens.use(secret, scope["client"][0] if scope["client"] else "")
        if token is None:
            return None
        raise_unless_allowed(scope, token)
        return token.user_id

    async def _user_id(self, scope: Scope) -> str | None:
        secret = api_secret(scope)
        if secret is not None:
            return await self._user_of_token(scope, secret)
        session = await self._sessions.open(scope)
        return session.user if session is not None else None


def raise_unless_allowed(scope: Scope, token: TokenInfo) -> None:
    """Raises Forbidden for what the token's scopes do not allow."""
    feature, write = needed(scope["method"], scope["path"])
    if not token.allows(feature, write=write):
        scope_name = f"{feature}:{'write' if write else 'read'}"
        raise Forbidden(N_("This token lacks the scope that is needed."), scope=scope_name)


def api_secret(scope: Scope) -> str | None:
    """The request's API token, valid or not; None if it has none.

    Basic credentials belong to a proxy in front. Any other scheme counts as a failed authentication.
    """
    authorization = headers_of(scope).get(b"authorization")
    if authorization is None or not scope["path"].startswith(TOKEN_PATHS):
        return None
    scheme, _, secret = authorization.decode("latin-1").partition(" ")
    match scheme.lower():
        case "basic":
            return None
        case "bearer":
            return secret.strip()
        case _:
            return ""
