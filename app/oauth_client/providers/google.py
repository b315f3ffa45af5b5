"""Google: OpenID Connect with its own way to refresh tokens, and Workspace's domains."""

from app.oauth_client.addresses import WebAddress
from app.oauth_client.errors import SignUpNotAllowed
from app.oauth_client.models import AuthRequest, Claims, text
from app.oauth_client.oidc_settings import OidcSettings
from app.oauth_client.providers.oidc import Oidc
from app.web.i18n import N_


class GoogleSettings(OidcSettings):
    issuer: WebAddress = "https://accounts.google.com"
    hosted_domain: str = ""
    """The only Workspace domain whose users may sign in."""


class Google(Oidc):
    _settings: GoogleSettings
    answers_max_age = False

    def _further(self, auth_request: AuthRequest) -> dict[str, str]:
        domain = {"hd": self._settings.hosted_domain} if self._settings.hosted_domain else {}
        offline = {"access_type": "offline", "prompt": "consent"} if self._settings.refresh else {}
        return domain | offline

    def check_claims(self, claims: Claims) -> None:
        """`hd` in the request only preselects an account."""
        if self._settings.hosted_domain and text(claims, "hd").lower() != self._settings.hosted_domain.lower():
            raise SignUpNotAllowed(
                "Google's hd is another", N_("This service accepts accounts of another organisation only.")
            )
