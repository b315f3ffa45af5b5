"""Microsoft Entra: one tenant, or many whose ID tokens have each its own issuer."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from app.oauth_client.addresses import BaseAddress
from app.oauth_client.models import Claims, text
from app.oauth_client.oidc_settings import OidcSettings
from app.oauth_client.providers.oidc import Oidc

PERSONAL = "9188040d-6c67-4c5b-b112-36a304b66dad"
"""The tenant of personal accounts."""
TENANT = re.compile("common|organizations|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class MicrosoftSettings(OidcSettings):
    """`tenant` is an id, or `common`, `organizations` or `consumers`."""

    tenant: str = Field("common", pattern=f"^({TENANT.pattern})$")
    base_url: BaseAddress = "https://login.microsoftonline.com"

    @model_validator(mode="before")
    @classmethod
    def _issuer(cls, table: Any) -> Any:
        if not isinstance(table, Mapping) or "issuer" in table:
            return table
        tenant = table.get("tenant", "common")
        tenant = PERSONAL if tenant == "consumers" else tenant
        base = str(table.get("base_url", "https://login.microsoftonline.com")).rstrip("/")
        return {**table, "tenant": tenant, "issuer": f"{base}/{tenant}/v2.0"}


class Microsoft(Oidc):
    def verified_email(self, claims: Claims) -> str:
        """Tenants choose their users' addresses: only `xms_edov` says that the domain is the tenant's."""
        if claims.get("xms_edov") in (True, 1, "1", "true"):
            return text(claims, "email")
        return text(claims, "email") if self._settings.assume_email_verified else ""
