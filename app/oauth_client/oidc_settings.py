"""The settings of an OpenID provider's table."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from app.oauth_client.addresses import WebAddress
from app.oauth_client.client_auth import AuthMethod
from app.oauth_client.jose import ALGORITHMS, HMAC_ALGORITHMS
from app.oauth_client.provider import ProviderSettings, Words

RESERVED_PARAMETERS = frozenset({
    "response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce", "max_age", "prompt",
    "code_challenge", "code_challenge_method", "request", "request_uri",
})  # fmt: skip
"""Parameters of an authorization request that a setting of its own, or the flow, decides."""


def _parameters(value: object) -> object:
    """In an environment variable: `access_type=offline&hd=corp.example`."""
    if isinstance(value, str):
        pairs = [pair.partition("=") for pair in value.split("&") if pair]
        return {name: text for name, _, text in pairs}
    return value


Parameters = Annotated[Mapping[str, str], BeforeValidator(_parameters)]


class OidcSettings(ProviderSettings):
    issuer: WebAddress
    client_id: str = Field(min_length=1)
    client_secret: SecretStr | None = Field(None, min_length=1)
    scopes: Words = ("openid", "profile", "email")
    sign_out_there: bool = False
    """Whether sign-out continues at the provider (RP-initiated logout)."""
    discovery_url: WebAddress | None = None
    """The metadata document, if it is not below the issuer."""
    token_endpoint_auth_method: AuthMethod | None = None
    authorization_params: Parameters = Field(default_factory=dict)
    """Further parameters of the authorization request."""
    prompt: str | None = Field(None, pattern="^[a-z_ ]*$")
    """By default `consent` with the scope offline_access (Core 11); empty sends none."""
    response_mode: Literal["query", "form_post"] | None = None
    id_token_signed_response_alg: str | None = None
    """The only accepted algorithm; HS256 is accepted only so (LINE)."""
    assume_email_verified: bool = False
    """Whether an address counts as verified although the provider sends no `email_verified`."""

    @field_validator("scopes")
    @classmethod
    def _openid(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in scopes:
            raise ValueError("must contain openid")
        return scopes

    @field_validator("authorization_params")
    @classmethod
    def _no_reserved_parameters(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for name in RESERVED_PARAMETERS & value.keys():
            raise ValueError(f"{name} cannot be set here")
        return value

    @field_validator("id_token_signed_response_alg")
    @classmethod
    def _known_algorithm(cls, value: str | None) -> str | None:
        known = {*ALGORITHMS, *HMAC_ALGORITHMS}
        if value is not None and value not in known:
            raise ValueError(f"must be one of {', '.join(sorted(known))}")
        return value

    @model_validator(mode="after")
    def _secret_where_needed(self) -> Self:
        needs = self.id_token_signed_response_alg in HMAC_ALGORITHMS
        needs = needs or self.token_endpoint_auth_method in {"client_secret_basic", "client_secret_post"}
        if needs and self.client_secret is None:
            raise ValueError("a client_secret is needed")
        return self

    @property
    def secret(self) -> str:
        return self.client_secret.get_secret_value() if self.client_secret is not None else ""

    @property
    def default_prompt(self) -> str:
        if self.prompt is None:
            return "consent" if "offline_access" in self.scopes else ""
        return self.prompt

    def hmac_algorithm(self) -> str | None:
        algorithm = self.id_token_signed_response_alg
        return algorithm if algorithm in HMAC_ALGORITHMS else None
