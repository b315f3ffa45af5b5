"""Verifies providers' signatures: an explicit list of algorithms, the provider's published keys. Pure."""

import json
import warnings
from typing import Any

from joserfc import jwk, jws
from joserfc.errors import JoseError, SecurityWarning

ALGORITHMS = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP", "Ed25519": "OKP"}
"""Accepted algorithms and their key types: neither `none` nor HMAC."""
MAX_TOKEN_LENGTH = 64 * 1024
PublicKey = jwk.RSAKey | jwk.ECKey | jwk.OKPKey


class BadToken(Exception):
    """The token is invalid; the text says why without quoting it."""


class UnknownKey(BadToken):
    """None of the keys is the token's: the provider may have rotated them."""


class _Registry(jws.JWSRegistry):
    max_header_length = 8192
    max_payload_length = MAX_TOKEN_LENGTH


def verified(token: str, key_set: Any) -> dict[str, Any]:
    """The claims of a token that is signed with one of the keys. Raises BadToken, UnknownKey.

    `jwk`, `jku`, `x5c` and `x5u` in the header are ignored: a forged token can name a key, too.
    """
    if len(token) > MAX_TOKEN_LENGTH:
        raise BadToken(f"has {len(token)} characters")
    header = _header(token)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise BadToken(f"alg {str(algorithm)[:16]!r} is not one of {', '.join(ALGORITHMS)}")
    if "crit" in header:
        raise BadToken("has critical headers that are unknown here")
    key = _key(header, ALGORITHMS[algorithm], key_set)
    registry = _Registry(algorithms=[algorithm], strict_check_header=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # `EdDSA` has a new name, which providers do not use yet
            payload = jws.deserialize_compact(token, key, registry=registry).payload
        claims = json.loads(payload)
    except (JoseError, ValueError, RecursionError) as error:
        raise BadToken(f"cannot be verified ({type(error).__name__})") from None
    if not isinstance(claims, dict):
        raise BadToken("holds no claims")
    return claims


def _header(token: str) -> dict[str, Any]:
    try:
        if token.count(".") != 2 or not token.isascii():
            raise BadToken("is not a signed token")
        return dict(jws.extract_compact(token.encode()).headers())
    except (JoseError, ValueError, TypeError, RecursionError):
        raise BadToken("has a header that cannot be read") from None


def _key(header: dict[str, Any], kind: str, key_set: Any) -> PublicKey:
    """The key that the header names; without a `kid`, the only key that fits."""
    published = key_set.get("keys") if isinstance(key_set, dict) else None
    fitting = [entry for entry in published if _fits(entry, kind)] if isinstance(published, list) else []
    if "kid" in header:
        fitting = [entry for entry in fitting if entry.get("kid") == header["kid"]]
    elif len(fitting) > 1:
        raise BadToken("does not name its key, and there are several")
    if not fitting:
        raise UnknownKey("is signed with a key that the provider does not publish")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", SecurityWarning)  # RSA with less than 2,048 bits (RFC 7518, 3.3)
            key = jwk.import_key(fitting[0])
    except (JoseError, LookupError, ValueError, TypeError, SecurityWarning):
        raise BadToken("is signed with a key that is too short, or cannot be read") from None
    if not isinstance(key, PublicKey):
        raise BadToken("is signed with a key of another type")
    return key


def _fits(entry: Any, kind: str) -> bool:
    return isinstance(entry, dict) and entry.get("kty") == kind and entry.get("use", "sig") == "sig"
