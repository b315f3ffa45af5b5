"""itsdangerous' signatures in canonical base64 only.

Base64 has several spellings of the same bytes: other bits in the last character, or characters that are skipped. Only
the spelling that itsdangerous writes is accepted, so that a changed cookie is always refused.
"""

from collections.abc import Callable
from typing import Any

from itsdangerous import Signer, TimestampSigner
from itsdangerous.encoding import base64_decode, base64_encode

from app.settings import Settings


class StrictSigner(Signer):
    def verify_signature(self, value: str | bytes, sig: str | bytes) -> bool:
        return super().verify_signature(value, sig) and base64_encode(base64_decode(sig)) == sig


class StrictTimestampSigner(StrictSigner, TimestampSigner):
    """Signs with the time of a clock that tests can move."""

    def __init__(self, *arguments: Any, clock: Callable[[], float], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._clock = clock

    def get_timestamp(self) -> int:
        return int(self._clock())


def signing_keys(settings: Settings) -> list[str]:
    """The secret keys in itsdangerous' order: the signing key last."""
    return [key.get_secret_value() for key in (*settings.old_secret_keys, settings.secret_key)]
