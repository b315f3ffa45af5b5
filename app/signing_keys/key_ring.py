"""Key pairs and the rules of their rotation. Pure.

A key is published a day before it signs, so that relying parties that cache the key set know it by then (OpenID
Connect Core 10.1.1), and after its successor signs for as long as tokens live that it signed.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

import orjson

from app.lazy import LazyModule

if TYPE_CHECKING:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
    from joserfc import errors, jwk, jws
    from joserfc import util as jose
else:
    hashes = LazyModule("cryptography.hazmat.primitives.hashes")
    ec = LazyModule("cryptography.hazmat.primitives.asymmetric.ec")
    padding = LazyModule("cryptography.hazmat.primitives.asymmetric.padding")
    rsa = LazyModule("cryptography.hazmat.primitives.asymmetric.rsa")
    utils = LazyModule("cryptography.hazmat.primitives.asymmetric.utils")
    errors, jwk, jws = LazyModule("joserfc.errors"), LazyModule("joserfc.jwk"), LazyModule("joserfc.jws")
    jose = LazyModule("joserfc.util")

DAY = 86_400
ALGORITHMS = ("ES256", "RS256")
PUBLISHED_BEFORE = DAY
"""Seconds between publishing a key and signing with it."""
PUBLISHED_AFTER = 2 * DAY
"""Seconds for which a key stays published when its successor signs; no token lives longer."""
ROTATION_PERIOD = 90 * DAY
MAX_TOKEN_LENGTH = 16 * 1024


class NoKey(Exception):
    """There is no key for the algorithm yet."""


class BadToken(Exception):
    """The token was not signed here, or its key is gone."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair. `number` counts the keys of its algorithm; times are Unix seconds."""

    alg: str
    number: int
    created: float
    signs_from: float
    pair: "jwk.ECKey | jwk.RSAKey"

    @property
    def name(self) -> str:
        return f"{self.alg}:{self.number}"

    @property
    def kid(self) -> str:
        return self.pair.thumbprint()  # RFC 7638

    @classmethod
    def new(cls, alg: str, number: int, created: float, signs_from: float) -> Self:
        """Takes a tenth of a second for RSA: run it in a thread."""
        pair = jwk.ECKey.generate_key("P-256") if alg == "ES256" else jwk.RSAKey.generate_key(2048)
        return cls(alg, number, created, signs_from, pair)

    @classmethod
    def load(cls, name: str, plain: bytes) -> Self:
        """Raises ValueError, KeyError for what `dump` has not written."""
        fields, (alg, number) = orjson.loads(plain), name.split(":")
        pair = jwk.ECKey.import_key(fields["jwk"]) if alg == "ES256" else _rsa_key(fields["jwk"])
        return cls(alg, int(number), fields["created"], fields["signs_from"], pair)

    def sign(self, message: bytes) -> bytes:
        """The signature of a JWS (RFC 7518, 3.3 and 3.4). joserfc's serialization takes twice as long as this."""
        key = self.pair.private_key
        if self.alg == "RS256":
            return cast("rsa.RSAPrivateKey", key).sign(message, padding.PKCS1v15(), hashes.SHA256())
        signature = cast("ec.EllipticCurvePrivateKey", key).sign(message, ec.ECDSA(hashes.SHA256()))
        return b"".join(number.to_bytes(32, "big") for number in utils.decode_dss_signature(signature))

    def dump(self) -> bytes:
        fields = {"created": self.created, "signs_from": self.signs_from, "jwk": self.pair.as_dict(private=True)}
        return orjson.dumps(fields)

    def public(self) -> dict[str, Any]:
        """The public key as an entry of a key set (RFC 7517)."""
        return {**self.pair.as_dict(private=False), "kid": self.kid, "alg": self.alg, "use": "sig"}


def _rsa_key(fields: dict[str, str]) -> "jwk.RSAKey":
    """Does not test the primes, as joserfc's `import_key` does for 60 ms: they were made here."""
    number = {name: jose.base64_to_int(value) for name, value in fields.items() if name != "kty"}
    public = rsa.RSAPublicNumbers(number["e"], number["n"])
    numbers = rsa.RSAPrivateNumbers(
        p=number["p"],
        q=number["q"],
        d=number["d"],
        dmp1=number["dp"],
        dmq1=number["dq"],
        iqmp=number["qi"],
        public_numbers=public,
    )
    return jwk.RSAKey(numbers.private_key(unsafe_skip_rsa_key_validation=True), fields)


class KeyRing:
    """All keys that are stored. `outdated` are the names of those that a former secret key encrypted."""

    def __init__(self, keys: Iterable[SigningKey], outdated: Iterable[str] = ()) -> None:
        self.keys = sorted(keys, key=lambda key: (key.signs_from, key.number))
        self.outdated = frozenset(outdated)
        self._kids = {key.kid: key for key in self.keys}
        self._names = {key.name: kid for kid, key in self._kids.items()}

    def of(self, alg: str) -> list[SigningKey]:
        """The keys of an algorithm, by when they sign."""
        return [key for key in self.keys if key.alg == alg]

    def active(self, alg: str, now: float) -> SigningKey:
        """The key that signs. Raises NoKey."""
        signing = [key for key in self.of(alg) if key.signs_from <= now]
        if not signing:
            raise NoKey(alg)
        return signing[-1]

    def expired(self, now: float) -> list[SigningKey]:
        """The keys whose tokens have all expired."""
        return [
            key
            for alg in ALGORITHMS
            for key, successor in zip(self.of(alg), self.of(alg)[1:], strict=False)
            if successor.signs_from + PUBLISHED_AFTER <= now
        ]

    def rotation_due(self, alg: str, now: float) -> bool:
        """Whether the newest key signs for so long that its successor has to be published."""
        keys = self.of(alg)
        return bool(keys) and keys[-1].signs_from + ROTATION_PERIOD - PUBLISHED_BEFORE <= now

    def jwks(self, now: float) -> dict[str, Any]:
        """The key set to publish: the keys that signed, sign and will sign."""
        gone = {key.name for key in self.expired(now)}
        return {"keys": [key.public() for key in reversed(self.keys) if key.name not in gone]}

    def sign(self, claims: Mapping[str, Any], alg: str, typ: str, now: float) -> str:
        """A signed token (JWS compact serialization). Raises NoKey."""
        key = self.active(alg, now)
        header = orjson.dumps({"alg": alg, "kid": self._names[key.name], "typ": typ})
        message = b"%b.%b" % (_base64url(header), _base64url(orjson.dumps(claims)))
        return (message + b"." + _base64url(key.sign(message))).decode()

    def verified(self, token: str, typ: str = "JWT") -> dict[str, Any]:
        """The claims of a token that was signed here; its times are not checked. Raises BadToken."""
        if len(token) > MAX_TOKEN_LENGTH or not token.isascii() or token.count(".") != 2:
            raise BadToken
        try:
            header = jws.extract_compact(token.encode()).headers()
            key = self._kids.get(str(header.get("kid")))
            if key is None or header.get("alg") != key.alg or header.get("typ") != typ:
                raise BadToken
            claims = orjson.loads(jws.deserialize_compact(token, key.pair, algorithms=[key.alg]).payload)
        except (errors.JoseError, ValueError, TypeError):
            raise BadToken from None
        if not isinstance(claims, dict):
            raise BadToken
        return claims


def _base64url(value: bytes) -> bytes:
    return urlsafe_b64encode(value).rstrip(b"=")
