"""What handlers of sign-ins elsewhere find in `request.state`."""

from collections.abc import Mapping

from app.accounts.state import AccountState
from app.oauth_client.auth_requests import Attempts
from app.oauth_client.provider import Provider
from app.oauth_client.provider_sessions import Memory
from app.oauth_client.refresh import Refresher


class OAuthState(AccountState):
    attempts: Attempts
    memory: Memory
    providers: Mapping[str, Provider]
    refresher: Refresher
