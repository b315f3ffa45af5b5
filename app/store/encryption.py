"""Encryption at rest: what Redis holds and must not show. Pure."""

import hashlib
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from app.lazy import LazyModule

if TYPE_CHECKING:
    from cryptography import exceptions
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.ciphers import aead
    from cryptography.hazmat.primitives.kdf import hkdf
else:
    exceptions = LazyModule("cryptography.exceptions")
    hashes = LazyModule("cryptography.hazmat.primitives.hashes")
    aead = LazyModule("cryptography.hazmat.primitives.ciphers.aead")
    hkdf = LazyModule("cryptography.hazmat.primitives.kdf.hkdf")

ID_BYTES, NONCE_BYTES = 4, 12


class Encryption:
    """AES-256-GCM under keys that the secret keys and a purpose give. The last secret key is the current one: it
    encrypts, all decrypt. The keys are derived at the first use.
    """

    def __init__(self, secret_keys: Sequence[str], purpose: str) -> None:
        self._secret_keys = tuple(secret_keys)
        self._purpose = purpose

    @cached_property
    def _ciphers(self) -> "dict[bytes, aead.AESGCM]":
        """By their ids, the current one last."""
        derived = [_derived(key, self._purpose) for key in self._secret_keys]
        return {hashlib.sha256(key).digest()[:ID_BYTES]: aead.AESGCM(key) for key in derived}

    @property
    def _current(self) -> bytes:
        return next(reversed(self._ciphers))

    def encrypt(self, plain: bytes, name: str = "") -> str:
        """ASCII text. `name` is where the value is stored: it does not decrypt elsewhere."""
        nonce = os.urandom(NONCE_BYTES)
        encrypted = self._ciphers[self._current].encrypt(nonce, plain, name.encode())
        return urlsafe_b64encode(self._current + nonce + encrypted).decode()

    def decrypt(self, value: str | bytes, name: str = "") -> bytes | None:
        """The plain value; None if no secret key decrypts it, or it was changed."""
        try:
            raw = urlsafe_b64decode(value)
            nonce, encrypted = raw[ID_BYTES : ID_BYTES + NONCE_BYTES], raw[ID_BYTES + NONCE_BYTES :]
            return self._ciphers[raw[:ID_BYTES]].decrypt(nonce, encrypted, name.encode())
        except (KeyError, exceptions.InvalidTag, ValueError):
            return None

    def renewed(self, value: str | bytes, name: str = "") -> str | None:
        """The value under the current key; None if it is already, or no key decrypts it."""
        plain = self.decrypt(value, name)
        return self.encrypt(plain, name) if plain is not None and self.is_outdated(value) else None

    def is_outdated(self, value: str | bytes) -> bool:
        """Whether a former secret key encrypted the value."""
        return urlsafe_b64decode(value)[:ID_BYTES] != self._current


def _derived(secret_key: str, purpose: str) -> bytes:
    return hkdf.HKDF(hashes.SHA256(), 32, None, f"tallygate.{purpose}".encode()).derive(secret_key.encode())
