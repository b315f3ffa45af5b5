"""Encrypts private keys for the store with a key derived from `secret_key`. Pure."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12


class Encryption:
    """AES-256-GCM. `secrets` are the secret keys, the current one last: it encrypts, all decrypt."""

    def __init__(self, secrets: list[str]) -> None:
        self._ciphers = [AESGCM(_derived(secret)) for secret in reversed(secrets)]

    def encrypt(self, name: str, plain: bytes) -> bytes:
        """`name` is where the value is stored: it does not decrypt elsewhere."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, plain, name.encode())

    def decrypt(self, name: str, value: bytes) -> tuple[bytes, bool] | None:
        """(the plain value, whether a former secret key encrypted it); None if no secret key decrypts it."""
        for index, cipher in enumerate(self._ciphers):
            try:
                return cipher.decrypt(value[:NONCE_BYTES], value[NONCE_BYTES:], name.encode()), index > 0
            except (InvalidTag, ValueError):
                continue
        return None


def _derived(secret: str) -> bytes:
    return HKDF(SHA256(), 32, None, b"tallygate.signing-keys").derive(secret.encode())
