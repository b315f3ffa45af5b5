"""Validates the claims of ID tokens and logout tokens (OpenID Connect Core 3.1.3.7, Back-Channel Logout 2.6). Pure."""

import hashlib
import hmac
from typing import Any

from app.oauth_client.jose import BadToken
from app.oauth_client.models import Claims, base64url, text

LEEWAY = 120
"""Seconds of clock skew."""
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_AGE = 300
"""Seconds after which a logout token is refused."""


def check_id_token(
    claims: dict[str, Any], *, issuer: str, client_id: str, nonce: str | None, access_token: str, now: float
) -> None:
    """`nonce` is None for a token from a refresh (Core 12.2). Raises BadToken."""
    check_common(claims, issuer=issuer, client_id=client_id, now=now)
    if isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and "azp" not in claims:
        raise BadToken("is for several audiences, and does not say for which one it was issued (azp)")
    if _number(claims, "exp") <= now - LEEWAY:
        raise BadToken("has expired")
    if not text(claims, "sub"):
        raise BadToken("has no sub")
    if nonce is not None and not hmac.compare_digest(text(claims, "nonce").encode(), nonce.encode()):
        raise BadToken("has another nonce")
    if "at_hash" in claims and text(claims, "at_hash") not in _hashes(access_token):
        raise BadToken("belongs to another access token (at_hash)")


def auth_time_of(claims: Claims, *, now: float) -> float | None:
    """When the user authenticated, not later than now; None if it is missing, no number or in the future."""
    try:
        auth_time = _number(claims, "auth_time")
    except BadToken:
        return None
    return min(auth_time, now) if auth_time <= now + LEEWAY else None


def check_logout_token(claims: dict[str, Any], *, issuer: str, client_id: str, now: float) -> None:
    """Raises BadToken."""
    check_common(claims, issuer=issuer, client_id=client_id, now=now)
    if "exp" in claims and _number(claims, "exp") <= now - LEEWAY:
        raise BadToken("has expired")
    if _number(claims, "iat") < now - LOGOUT_AGE:
        raise BadToken("is too old")
    if "nonce" in claims:
        raise BadToken("has a nonce, like an ID token")
    if not text(claims, "jti"):
        raise BadToken("has no jti")
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
        raise BadToken("is of no logout")
    if not text(claims, "sub") and not text(claims, "sid"):
        raise BadToken("names neither a sub nor a sid")


def check_common(claims: dict[str, Any], *, issuer: str, client_id: str, now: float) -> None:
    if not issuer or claims.get("iss") != issuer:
        raise BadToken("has another issuer", said=text(claims, "iss"))
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if client_id not in audiences:
        raise BadToken("is for another audience")
    if "azp" in claims and claims["azp"] != client_id:
        raise BadToken("is for another party (azp)")
    if _number(claims, "iat") > now + LEEWAY:
        raise BadToken("was issued in the future")
    if "nbf" in claims and _number(claims, "nbf") > now + LEEWAY:
        raise BadToken("is not valid yet")


def _number(claims: Claims, name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise BadToken(f"has no {name}")
    return value


def _hashes(access_token: str) -> set[str]:
    """The left half of the algorithm's hash; SHA-512 is Ed25519's, too."""
    digests = [hashlib.new(name, access_token.encode()).digest() for name in ("sha256", "sha384", "sha512")]
    return {base64url(digest[: len(digest) // 2]) for digest in digests}
