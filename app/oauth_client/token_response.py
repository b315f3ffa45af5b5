"""Responses of token endpoints (RFC 6749, 5). Errors count by their name: providers send them with any status."""

from collections.abc import Mapping
from typing import Any

from app.oauth_client.errors import BadCallback, BadProviderResponse, OAuthProblem, ProviderUnavailable, Revoked
from app.oauth_client.models import Claims, text, token
from app.oauth_client.provider_http import ProviderResponse

SECRETS = ("code", "code_verifier", "refresh_token", "client_secret", "client_assertion")
"""Parameters of a token request that must not be quoted, should the response repeat them."""
MAX_ERROR_LENGTH = 200
Errors = Mapping[str, type[OAuthProblem]]
UNAVAILABLE_ERRORS: Errors = {"temporarily_unavailable": ProviderUnavailable, "server_error": ProviderUnavailable}
SIGN_IN_ERRORS: Errors = {**UNAVAILABLE_ERRORS, "invalid_grant": BadCallback}
"""The code is used or expired: the user has to start again."""
REFRESH_ERRORS: Errors = {
    **UNAVAILABLE_ERRORS,
    # the refresh token is revoked or expired; Microsoft wants the user to sign in again
    **dict.fromkeys(("invalid_grant", "interaction_required", "login_required", "consent_required"), Revoked),
}


def tokens_of(answer: ProviderResponse, sent: Mapping[str, str], errors: Errors) -> dict[str, Any]:
    """The tokens of a response; `sent` is the form, and the secret.

    Raises the OAuthProblem of the error, or BadProviderResponse.
    """
    tokens = answer.json()
    if answer.status == 200 and not tokens.get("error"):
        return tokens
    error = text(tokens, "error", 64)
    said = quotable(text(tokens, "error_description", 2000), *(sent.get(name, "") for name in SECRETS))
    raise errors.get(error, BadProviderResponse)(f"{answer.what}: {answer.status} {error!r}", said=said)


def bearer_token(answered: Claims, issuer: str) -> str:
    """The access token (RFC 6750). Raises BadProviderResponse."""
    access_token = token(answered, "access_token")
    if not access_token or text(answered, "token_type").lower() != "bearer":
        raise BadProviderResponse(f"{issuer}: the answer lacks a bearer's access_token")
    return access_token


def quotable(said: str, *secrets: str) -> str:
    """A text of the provider, in one line and without the secrets."""
    for secret in filter(None, secrets):
        said = said.replace(secret, "...")
    return " ".join("".join(sign if sign.isprintable() else " " for sign in said).split())[:MAX_ERROR_LENGTH]
