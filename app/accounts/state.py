"""What handlers that know users find in `request.state`."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from app.accounts.current_user import CurrentUser
from app.accounts.identities import Identities
from app.accounts.invitations import Invitations
from app.accounts.models import SignInOption
from app.accounts.password_hashing import PasswordHashing
from app.accounts.rate_limits import RateLimits
from app.accounts.store import AccountStore
from app.accounts.tokens import ApiTokens
from app.audit.log import Audit
from app.sessions.service import Sessions
from app.sessions.session import Session
from app.web.lifespan import WebState


class SignOutRedirect(Protocol):
    """Knows where else somebody who signs out may have to."""

    async def __call__(self, session: Session | None, home: str) -> str | None:
        """The address to go on to, which leads back `home`; None where there is nothing else to do."""


class AccountState(WebState):
    accounts: AccountStore
    sign_out_redirect: SignOutRedirect
    audit: Audit
    sign_in_options: Sequence[SignInOption]
    identities: Identities
    invitations: Invitations
    limits: RateLimits
    passwords: PasswordHashing
    current_user: CurrentUser
    sessions: Sessions
    tokens: ApiTokens


S = TypeVar("S", bound=AccountState)
"""The state of any feature that knows users."""
