"""Verifies providers' signatures: an explicit list of algorithms, the provider's published keys. Pure."""

import json
import warnings
from typing import TYPE_CHECKING, Any

from app.lazy import LazyModule

if TYPE_CHECKING:
    from joserfc import errors, jwk, jws

    Key = jwk.RSAKey | jwk.ECKey | jwk.OKPKey | jwk.OctKey
else:
    errors, jwk, jws = LazyModule("joserfc.errors"), LazyModule("joserfc.jwk"), LazyModule("joserfc.jws")

EC_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
ALGORITHMS: dict[str, str] = {
    **dict.fromkeys(RSA_ALGORITHMS, "RSA"),
    **dict.fromkeys(EC_CURVES, "EC"),
    "EdDSA": "OKP",
    "Ed25519": "OKP",
}
"""Accepted algorithms and their key types: neither `none` nor HMAC."""
HMAC_ALGORITHMS = frozenset({"HS256", "HS384", "HS512"})
"""Accepted only where a provider's settings name one: the key is the client secret (LINE)."""
MAX_TRIED_KEYS = 16
"""Keys tried for a token that names none."""
MAX_TOKEN_LENGTH = 64 * 1024
MAX_HEADER_LENGTH = 8192


class BadToken(Exception):
    """The token is invalid; the text says why without quoting it. `said` may be shown to the reader."""

    def __init__(self, why: str, said: str = "") -> None:
        super().__init__(why)
        self.said = said


class UnknownKey(BadToken):
    """None of the keys verifies the token: the provider may have rotated them, even under the same `kid`."""


def verified(token: str, key_set: Any, *, only: str | None = None) -> dict[str, Any]:
    """The claims of a token that is signed with one of the keys, and with the algorithm `only` if that is set.

    Raises BadToken, UnknownKey. `jwk`, `jku`, `x5c` and `x5u` in the header are ignored: a forged token can name
    a key, too.
    """
    header = _header(token)
    algorithm = header.get("alg")
    accepted = ALGORITHMS if only is None else (only,)
    if not isinstance(algorithm, str) or algorithm not in accepted:
        raise BadToken(f"alg {str(algorithm)[:16]!r} is not one of {', '.join(accepted)}")
    unfit: BadToken | None = None
    for entry in _candidates(header, algorithm, key_set)[:MAX_TRIED_KEYS]:
        try:
            payload = _payload(token, algorithm, _imported(entry))
        except BadToken as bad:
            unfit = bad if isinstance(bad, UnknownKey) or unfit is None else unfit
            continue
        return _claims(payload)
    raise unfit or UnknownKey("is signed with a key that the provider does not publish")


def verified_with_secret(token: str, algorithm: str, secret: str) -> dict[str, Any]:
    """The claims of a token that is signed with the client secret (OpenID Connect Core 10.1). Raises BadToken."""
    header = _header(token)
    if algorithm not in HMAC_ALGORITHMS or header.get("alg") != algorithm:
        raise BadToken(f"alg {str(header.get('alg'))[:16]!r} is not {algorithm}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.SecurityWarning)  # the provider chooses the length of the secret
        return _claims(_payload(token, algorithm, jwk.OctKey.import_key(secret)))


def _payload(token: str, algorithm: str, key: "Key") -> bytes:
    """Raises UnknownKey if the key does not verify the token."""
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length, registry.max_payload_length = MAX_HEADER_LENGTH, MAX_TOKEN_LENGTH
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", errors.SecurityWarning)  # providers use `EdDSA`, whose new name is Ed25519
            return jws.deserialize_compact(token, key, registry=registry).payload
    except (errors.BadSignatureError, ValueError, TypeError):  # the last two: a key of another curve
        raise UnknownKey("cannot be verified with the keys that the provider publishes") from None
    except (errors.JoseError, RecursionError) as error:
        raise BadToken(f"cannot be verified ({type(error).__name__})") from None


def _claims(payload: bytes) -> dict[str, Any]:
    try:
        claims = json.loads(payload)
    except (ValueError, RecursionError):
        raise BadToken("holds no JSON") from None
    if not isinstance(claims, dict):
        raise BadToken("holds no claims")
    return claims


def _header(token: str) -> dict[str, Any]:
    if len(token) > MAX_TOKEN_LENGTH:
        raise BadToken(f"has {len(token)} characters")
    try:
        if token.count(".") != 2 or not token.isascii():
            raise BadToken("is not a signed token")
        header = dict(jws.extract_compact(token.encode()).headers())
    except (errors.JoseError, ValueError, TypeError, RecursionError):
        raise BadToken("has a header that cannot be read") from None
    if "crit" in header:
        raise BadToken("has critical headers that are unknown here")
    return header


def _candidates(header: dict[str, Any], algorithm: str, key_set: Any) -> list[dict[str, Any]]:
    """The keys that the header names; those without a `kid` if it names none of them, and all that fit without one."""
    published = key_set.get("keys") if isinstance(key_set, dict) else None
    fitting = [entry for entry in published if _fits(entry, algorithm)] if isinstance(published, list) else []
    if "kid" not in header:
        return fitting
    named = [entry for entry in fitting if entry.get("kid") == header["kid"]]
    return named or [entry for entry in fitting if "kid" not in entry]


def _imported(entry: dict[str, Any]) -> "Key":
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", errors.SecurityWarning)  # RSA with less than 2,048 bits (RFC 7518, 3.3)
            key = jwk.import_key(entry)
    except (errors.JoseError, LookupError, ValueError, TypeError, errors.SecurityWarning):
        raise BadToken("is signed with a key that is too short, or cannot be read") from None
    if not isinstance(key, (jwk.RSAKey, jwk.ECKey, jwk.OKPKey, jwk.OctKey)):
        raise BadToken("is signed with a key of another type")
    return key


def _fits(entry: Any, algorithm: str) -> bool:
    """By type, curve, use and algorithm, as far as the key says them (RFC 7517, 4)."""
    if not isinstance(entry, dict) or entry.get("kty") != ALGORITHMS[algorithm] or entry.get("use", "sig") != "sig":
        return False
    curve = EC_CURVES.get(algorithm)
    return (curve is None or entry.get("crv") == curve) and entry.get("alg", algorithm) in _names(algorithm)


def _names(algorithm: str) -> set[str]:
    """EdDSA has a second name (RFC 9864). Some key sets say RS256 for each RSA key."""
    if algorithm in {"EdDSA", "Ed25519"}:
        return {"EdDSA", "Ed25519"}
    return {*RSA_ALGORITHMS, *EC_CURVES}
