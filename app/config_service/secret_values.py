"""Secret values, as JSON, encrypted in Redis."""

from typing import Any

import orjson

from app.store.encryption import Encryption


class CannotDecrypt(Exception):
    """No secret key decrypts the value: the key that encrypted it is not among `old_secret_keys`."""


class SecretValues:
    def __init__(self, encryption: Encryption) -> None:
        self._encryption = encryption

    def encrypt(self, value: Any) -> str:
        return self._encryption.encrypt(orjson.dumps(value))

    def renewed(self, text: str) -> str | None:
        """As `Encryption.renewed`."""
        return self._encryption.renewed(text)

    def can_decrypt(self, text: str) -> bool:
        return self._encryption.decrypt(text) is not None

    def decrypt(self, text: str) -> Any:
        """Raises CannotDecrypt."""
        plain = self._encryption.decrypt(text)
        if plain is None:
            raise CannotDecrypt
        return orjson.loads(plain)
