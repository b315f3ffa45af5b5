"""The metadata of an OpenID provider (OpenID Connect Discovery 1.0, section 3)."""

from dataclasses import dataclass
from typing import Any, Self

from app.oauth_client.addresses import is_web_address
from app.oauth_client.errors import BadProviderResponse
from app.oauth_client.models import text

REQUIRED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
ENDPOINTS = (*REQUIRED, "userinfo_endpoint", "end_session_endpoint")


@dataclass(frozen=True, slots=True)
class Metadata:
    """The members that are used here. Endpoints are URLs; empty if missing."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    end_session_endpoint: str
    sends_iss: bool
    basic: bool
    """Whether the client authenticates with client_secret_basic (the default) instead of client_secret_post."""

    @classmethod
    def of(cls, document: dict[str, Any], issuer: str, *, private: bool) -> Self:
        """Raises BadProviderResponse."""
        if document.get("issuer") != issuer:
            raise BadProviderResponse(f"the discovery document of {issuer} names another issuer")
        methods = document.get("token_endpoint_auth_methods_supported")
        only_post = (
            isinstance(methods, list) and "client_secret_post" in methods and "client_secret_basic" not in methods
        )
        endpoints = {name: text(document, name, 2048) for name in ENDPOINTS}
        for name, url in endpoints.items():
            if (name in REQUIRED and not url) or (url and not is_web_address(url, private=private)):
                raise BadProviderResponse(f"the discovery document of {issuer} has no good {name}")
        return cls(
            **endpoints,
            sends_iss=document.get("authorization_response_iss_parameter_supported") is True,
            basic=not only_post,
        )
