"""Secret values, encrypted under the secret key (JWE, AES-256-GCM); former keys still decrypt."""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import orjson
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

HEADER = {"alg": "dir", "enc": "A256GCM"}
ALGORITHMS = ["dir", "A256GCM"]


class CannotUnseal(Exception):
    """No secret key decrypts the value: the key that encrypted it is not among `old_secret_keys`."""


class Sealing:
    """`secret_keys`: the key that encrypts first, then former ones. `purpose` separates derived keys."""

    def __init__(self, secret_keys: Sequence[str], purpose: str) -> None:
        self._keys = [
            OctKey.import_key(hmac.digest(key.encode(), f"tallygate.{purpose}".encode(), hashlib.sha256))
            for key in secret_keys
        ]

    def seal(self, value: Any) -> str:
        return jwe.encrypt_compact(HEADER, orjson.dumps(value), self._keys[0], algorithms=ALGORITHMS)

    def unseal(self, sealed: str) -> Any:
        """Raises CannotUnseal."""
        for key in self._keys:
            try:
                return orjson.loads(jwe.decrypt_compact(sealed, key, algorithms=ALGORITHMS).plaintext or b"")
            except (JoseError, ValueError):
                continue
        raise CannotUnseal
