"""The part of the lifespan that opens sessions and accounts, and the request state that it fills."""

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypedDict, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from app.accounts.api_tokens.tokens import ApiTokens, TokenInfo
from app.accounts.email.verification_links import EmailLinks
from app.accounts.invitations.invitations import Invitations
from app.accounts.models import SignInOption, User
from app.accounts.passwords.hashing import PasswordHashing
from app.accounts.passwords.reset_links import ResetLinks
from app.accounts.second_factors.store import PendingSignIn, SecondFactors
from app.accounts.services.services import Services
from app.accounts.sign_in.current_user import CurrentUser
from app.accounts.sign_in.known_origins import KnownOrigins
from app.accounts.sign_in.rate_limits import RateLimits, apply_limits
from app.accounts.sign_in.waiting_forms import WaitingForms
from app.accounts.users.identities import Identities
from app.accounts.users.legacy_users import LegacyUsers
from app.accounts.users.profile_store import UserStore
from app.accounts.users.search import UserSearch
from app.accounts.users.store import AccountStore
from app.audit.log import Audit
from app.mail.lifespan import MailState
from app.sessions.cookie_store import CookieSessions
from app.sessions.redis_store import RedisSessions
from app.sessions.service import Recheck, Sessions
from app.sessions.session import Session, SessionStore
from app.store.tracking import TrackedHashes
from app.web.lifespan import ErrorHeader, WebState


@dataclass(frozen=True, slots=True)
class PersonalData:
    """A feature's data of a user: exported and removed with the account. Features register it in main.py.

    `export` gets a user's id and returns JSON types; `forget` is called before the user is removed, perhaps twice.
    """

    export: Callable[[str], Awaitable[Any]]
    forget: Callable[[str], Awaitable[None]]


class SignOutRedirect(Protocol):
    """Finds the provider's sign-out page, if the session has one."""

    async def __call__(self, session: Session | None, home: str) -> str | None:
        """The URL to send the browser to, which leads back to `home`; None if there is none."""


class FinishProviderSignIn(Protocol):
    """Finishes a sign-in at a provider after the second factor."""

    async def __call__(self, request: Any, user: User, pending: PendingSignIn, amr: tuple[str, ...]) -> None:
        """Starts the session. Raises Forbidden for an identity that is no longer the user's."""


class ProviderSignIn(TypedDict):
    """Filled by the feature that knows OAuth providers."""

    sign_in_options: Sequence[SignInOption]
    sign_out_redirect: SignOutRedirect
    finish_provider_sign_in: FinishProviderSignIn


class BeforeSignIn(Protocol):
    """Runs the checks that may refuse a sign-in."""

    async def __call__(self, user: User, auth_method: str, address: str) -> None:
        """Raises Forbidden."""


class SignInChecks(TypedDict):
    """Filled by the hooks."""

    before_sign_in: BeforeSignIn


class Accounts(TypedDict):
    """Filled by `open_accounts`."""

    accounts: AccountStore
    audit: Audit
    email_links: EmailLinks
    identities: Identities
    invitations: Invitations
    known_origins: KnownOrigins
    limits: RateLimits
    passwords: PasswordHashing
    current_user: CurrentUser
    error_header: ErrorHeader
    second_factors: SecondFactors
    personal_data: dict[str, PersonalData]
    services: Services
    reset_links: ResetLinks
    sessions: Sessions
    tokens: ApiTokens
    user_search: UserSearch
    users: UserStore
    waiting_forms: WaitingForms


class AccountState(WebState, Accounts, ProviderSignIn, SignInChecks, MailState):
    """The request state of handlers that know users."""


S = TypeVar("S", bound=AccountState)
"""The request state of any feature that knows users."""
UserHandler = Callable[[Request[S], User], Awaitable[Response]]


@asynccontextmanager
async def open_accounts(
    web: WebState, recheck: Recheck | None = None, clock: Callable[[], float] = time.time
) -> AsyncIterator[Accounts]:
    """Opens sessions and users. `clock` returns Unix seconds; tests move it."""
    settings, store = web["settings"], web["store"]
    web["live_settings"].follow(partial(apply_limits, web["rate_limiter"]))
    users = TrackedHashes(web["tracking"], User.from_hash)
    accounts = AccountStore(store, changed=users.forget, clock=clock)
    audit = Audit(store, clock=clock)
    session_store = _session_store(web, clock)
    sessions = Sessions(settings, session_store, LegacyUsers(accounts, audit, store), recheck, clock)
    tokens = ApiTokens(store, clock=clock, cache=TrackedHashes(web["tracking"], TokenInfo.from_hash))
    current_user = CurrentUser(web["live_settings"], sessions, users, tokens)
    with contextlib.closing(PasswordHashing()) as passwords:
        yield Accounts(
            accounts=accounts,
            audit=audit,
            email_links=EmailLinks(store, changed=users.forget, clock=clock),
            identities=Identities(store, clock=clock),
            invitations=Invitations(store, clock=clock),
            known_origins=KnownOrigins(store),
            limits=RateLimits(web["rate_limiter"]),
            passwords=passwords,
            current_user=current_user,
            error_header=current_user.error_header,
            second_factors=SecondFactors(settings, store, changed=users.forget, clock=clock),
            personal_data={},
            services=Services(settings, web["tracking"], clock),
            reset_links=ResetLinks(store, changed=users.forget, clock=clock),
            sessions=sessions,
            tokens=tokens,
            user_search=UserSearch(store),
            users=UserStore(store, changed=users.forget, clock=clock),
            waiting_forms=WaitingForms(settings, store),
        )


def _session_store(web: WebState, clock: Callable[[], float]) -> SessionStore:
    settings = web["settings"]
    if settings.session_store == "cookie":
        return CookieSessions(settings, clock)
    return RedisSessions(web["store"], web["tracking"], settings, clock)
