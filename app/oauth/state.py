"""What handlers of sign-ins elsewhere find in `request.state`."""

from collections.abc import Mapping

from app.accounts.state import AccountState
from app.oauth.attempts import Attempts
from app.oauth.provider import Provider


class OAuthState(AccountState):
    attempts: Attempts
    providers: Mapping[str, Provider]
