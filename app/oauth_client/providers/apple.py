"""Sign in with Apple: a client secret made from a key, the callback as a form, the name only the first time."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, SecretStr, field_validator

from app.lazy import LazyModule
from app.oauth_client.addresses import WebAddress
from app.oauth_client.client_auth import AuthMethod
from app.oauth_client.models import AuthRequest, ExternalProfile, text
from app.oauth_client.oidc_settings import OidcSettings
from app.oauth_client.provider import ClientInfo, Words
from app.oauth_client.providers.oidc import Oidc

if TYPE_CHECKING:
    from joserfc import errors, jwk, jwt
else:
    errors, jwk, jwt = LazyModule("joserfc.errors"), LazyModule("joserfc.jwk"), LazyModule("joserfc.jwt")

SECRET_LIFETIME = 300
"""Seconds that a client secret lives: each request has its own."""


class AppleSettings(OidcSettings):
    """`client_id` is the services id; `private_key` the text of the .p8 file, best by `..._PRIVATE_KEY_FILE`."""

    issuer: WebAddress = "https://appleid.apple.com"
    team_id: str = Field(min_length=1)
    key_id: str = Field(min_length=1)
    private_key: SecretStr = Field(min_length=1)
    scopes: Words = ("openid", "name", "email")
    response_mode: Literal["query", "form_post"] | None = "form_post"
    token_endpoint_auth_method: AuthMethod | None = None

    @field_validator("private_key")
    @classmethod
    def _key(cls, value: SecretStr) -> SecretStr:
        imported(value)
        return value


class Apple(Oidc):
    _settings: AppleSettings
    answers_max_age = False

    async def _secret(self) -> str:
        now, settings = int(self._clock()), self._settings
        header = {"alg": "ES256", "kid": settings.key_id}
        claims: dict[str, Any] = {"iss": settings.team_id, "sub": self.client_id, "aud": self.issuer}
        claims |= {"iat": now, "exp": now + SECRET_LIFETIME}
        return jwt.encode(header, claims, imported(settings.private_key))

    async def identify(
        self, auth_request: AuthRequest, answer: Mapping[str, str], client: ClientInfo
    ) -> ExternalProfile:
        profile = await super().identify(auth_request, answer, client)
        name = _name(answer.get("user", ""))
        return replace(profile, name=name, names=(*profile.names, name)) if name else profile


def imported(key: SecretStr) -> "jwk.ECKey":
    try:
        return jwk.ECKey.import_key(key.get_secret_value().replace("\\n", "\n"))
    except (errors.JoseError, ValueError, TypeError):
        raise ValueError("is no private key of an elliptic curve in PEM form") from None


def _name(user: str) -> str:
    """The name that Apple sends beside the first code; not signed, so it is used for nothing else."""
    try:
        document = json.loads(user)
        return " ".join(filter(None, (text(document["name"], part, 100) for part in ("firstName", "lastName"))))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""
