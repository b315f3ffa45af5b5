"""Encrypts what Redis holds for a while or must not show: secrets of second factors, values of forms that wait."""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from app.sessions.signing import signing_keys
from app.settings import Settings


class Seal:
    """Authenticated encryption under a key that the secret key and a purpose give; former keys still open."""

    def __init__(self, settings: Settings, purpose: str) -> None:
        self._fernet = MultiFernet([_fernet(key, purpose) for key in reversed(signing_keys(settings))])

    def close(self, text: bytes) -> bytes:
        """The sealed text."""
        return self._fernet.encrypt(text)

    def open(self, sealed: bytes) -> bytes | None:
        """The text; None if it was sealed under another key or changed."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken:
            return None


def _fernet(key: str, purpose: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(f"tallygate.{purpose}\0{key}".encode()).digest()))
