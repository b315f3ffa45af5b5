"""WeChat's signatures and message encryption (AES-256-CBC, PKCS#7 in blocks of 32). Pure."""

import base64
import binascii
import hashlib
import hmac
import os
from typing import TYPE_CHECKING

from app.lazy import LazyModule

if TYPE_CHECKING:
    from cryptography.hazmat.primitives import ciphers
    from cryptography.hazmat.primitives.ciphers import algorithms, modes
else:
    ciphers = LazyModule("cryptography.hazmat.primitives.ciphers")
    algorithms = LazyModule("cryptography.hazmat.primitives.ciphers.algorithms")
    modes = LazyModule("cryptography.hazmat.primitives.ciphers.modes")

BLOCK = 32
RANDOM, LENGTH = 16, 4
"""Bytes before the message: random ones, and the message's length."""


class BadMessage(ValueError):
    """A message whose signature, padding, length, appid or form is wrong."""


def signature(*parts: str) -> str:
    """SHA-1 of the sorted, joined parts."""
    return hashlib.sha1("".join(sorted(parts)).encode(), usedforsecurity=False).hexdigest()


def verify(given: str, *parts: str) -> None:
    """Raises BadMessage."""
    if not hmac.compare_digest(signature(*parts).encode(), given.encode("utf-8", "replace")):
        raise BadMessage("the signature is wrong")


def js_signature(ticket: str, nonce: str, timestamp: int, url: str) -> str:
    """The signature of a page for the JS-SDK: its URL without the fragment, nothing escaped."""
    text = f"jsapi_ticket={ticket}&noncestr={nonce}&timestamp={timestamp}&url={url.partition('#')[0]}"
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def encrypt(encoding_aes_key: str, appid: str, message: bytes, random: bytes | None = None) -> str:
    plain = (random or os.urandom(RANDOM)) + len(message).to_bytes(LENGTH, "big") + message + appid.encode()
    padding = BLOCK - len(plain) % BLOCK
    encryptor = _cipher(encoding_aes_key).encryptor()
    return base64.b64encode(encryptor.update(plain + bytes([padding]) * padding) + encryptor.finalize()).decode()


def decrypt(encoding_aes_key: str, appid: str, encrypted: str) -> bytes:
    """The message. Raises BadMessage."""
    try:
        data = base64.b64decode(encrypted, validate=True)
    except (binascii.Error, ValueError):
        raise BadMessage("Encrypt is not Base64") from None
    if not data or len(data) % 16:
        raise BadMessage("Encrypt has a wrong length")
    decryptor = _cipher(encoding_aes_key).decryptor()
    plain = decryptor.update(data) + decryptor.finalize()
    padding = plain[-1]
    if not 1 <= padding <= BLOCK or plain[-padding:] != bytes([padding]) * padding:
        raise BadMessage("the padding is wrong")
    plain = plain[RANDOM:-padding]
    length = int.from_bytes(plain[:LENGTH], "big")
    if len(plain) < LENGTH + length:
        raise BadMessage("the length is wrong")
    if plain[LENGTH + length :] != appid.encode():
        raise BadMessage("the message is for another appid")
    return plain[LENGTH : LENGTH + length]


def _cipher(encoding_aes_key: str) -> "ciphers.Cipher[modes.CBC]":
    key = base64.b64decode(encoding_aes_key + "=")
    return ciphers.Cipher(algorithms.AES(key), modes.CBC(key[:16]))
