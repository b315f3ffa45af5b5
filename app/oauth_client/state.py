"""What handlers of sign-ins elsewhere find in `request.state`."""

from collections.abc import Mapping

from app.accounts.state import AccountState
from app.oauth_client.auth_requests import AuthRequests
from app.oauth_client.provider import Provider
from app.oauth_client.provider_sessions import ProviderSessions
from app.oauth_client.refresh import Refresher


class OAuthState(AccountState):
    auth_requests: AuthRequests
    provider_sessions: ProviderSessions
    providers: Mapping[str, Provider]
    refresher: Refresher
