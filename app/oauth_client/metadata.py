"""The metadata of an OpenID provider (OpenID Connect Discovery 1.0, section 3)."""

import re
from dataclasses import dataclass
from typing import Any, Self

from app.oauth_client.addresses import is_web_address
from app.oauth_client.errors import BadProviderResponse
from app.oauth_client.models import Claims, text
from app.oauth_client.token_response import quotable
from app.web.i18n import N_

REQUIRED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
TENANT, TENANT_GROUPS = "{tenantid}", ("common", "organizations", "consumers")
"""Microsoft's placeholder in the issuer of a metadata document for several tenants, and the names of those."""
TENANT_ID = re.compile("[0-9a-fA-F-]{36}")
ENDPOINTS = (*REQUIRED, "userinfo_endpoint", "end_session_endpoint")


@dataclass(frozen=True, slots=True)
class Metadata:
    """The members that are used here. Endpoints are URLs; empty if missing."""

    issuer: str
    """With TENANT in it, each tenant's ID tokens have their own."""
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
        named = text(document, "issuer", 2048)
        if named != issuer and issuer not in {named.replace(TENANT, group) for group in TENANT_GROUPS}:
            raise BadProviderResponse(
                f"the discovery document of {issuer} names another issuer",
                N_("The provider's settings name another issuer than the provider itself."),
                said=quotable(named),
            )
        methods = document.get("token_endpoint_auth_methods_supported")
        only_post = (
            isinstance(methods, list) and "client_secret_post" in methods and "client_secret_basic" not in methods
        )
        endpoints = {name: text(document, name, 2048) for name in ENDPOINTS}
        for name, url in endpoints.items():
            if not is_web_address(url, private=private):
                if name in REQUIRED:
                    raise BadProviderResponse(f"the discovery document of {issuer} has no good {name}")
                endpoints[name] = ""  # an invalid optional one counts as missing
        return cls(
            issuer=named,
            **endpoints,
            sends_iss=document.get("authorization_response_iss_parameter_supported") is True,
            basic=not only_post,
        )

    @property
    def many_tenants(self) -> bool:
        return TENANT in self.issuer

    def issuer_of(self, claims: Claims) -> str:
        """The issuer that a token of these claims must have; empty if it names no tenant."""
        if not self.many_tenants:
            return self.issuer
        tenant = text(claims, "tid", 36)
        return self.issuer.replace(TENANT, tenant) if TENANT_ID.fullmatch(tenant) else ""

    def keys_for(self, claims: Claims, key_set: dict[str, Any]) -> dict[str, Any]:
        """The keys that may sign tokens of these claims: with several tenants, each key may name its issuer."""
        if not self.many_tenants:
            return key_set
        tenant = text(claims, "tid", 36)
        fitting = [
            key
            for key in key_set["keys"]
            if isinstance(key, dict)
            and str(key.get("issuer", self.issuer)).replace(TENANT, tenant) == self.issuer_of(claims)
        ]
        return {"keys": fitting}


def may_issue(configured: str, issuer: str) -> bool:
    """Whether identities with this issuer may come from the configured one, or from a tenant of its group."""
    if issuer == configured:
        return True
    for group in TENANT_GROUPS:
        before, found, after = configured.partition(f"/{group}/")
        tenant = issuer.removeprefix(f"{before}/").removesuffix(f"/{after}")
        if found and TENANT_ID.fullmatch(tenant) and issuer == f"{before}/{tenant}/{after}":
            return True
    return False
