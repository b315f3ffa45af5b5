"""itsdangerous' signatures, of which only the spelling counts that it writes itself.

Base64 can be written in several ways: with other bits in the last character, or with characters that are skipped. A
cookie that was tampered with is refused also where that changes nothing, and one cookie is always one text.
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
    """Notes the time of signing, by a clock that tests can move."""

    def __init__(self, *arguments: Any, clock: Callable[[], float], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._clock = clock

    def get_timestamp(self) -> int:
        return int(self._clock())


def signing_keys(settings: Settings) -> list[str]:
    """The secret keys as itsdangerous wants them: the current one, which signs, comes last."""
    return [key.get_secret_value() for key in (*settings.old_secret_keys, settings.secret_key)]
