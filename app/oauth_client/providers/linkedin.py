"""LinkedIn: OpenID Connect without PKCE and without a nonce in the ID token."""

from app.oauth_client.addresses import WebAddress
from app.oauth_client.client_auth import AuthMethod
from app.oauth_client.oidc_settings import OidcSettings
from app.oauth_client.providers.oidc import Oidc


class LinkedInSettings(OidcSettings):
    issuer: WebAddress = "https://www.linkedin.com/oauth"
    token_endpoint_auth_method: AuthMethod | None = "client_secret_post"  # noqa: S105  a method's name


class LinkedIn(Oidc):
    pkce = False
    nonce = False
    answers_max_age = False
