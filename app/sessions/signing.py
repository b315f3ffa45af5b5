"""itsdangerous' signatures, of which only the spelling counts that it writes itself.

Base64 can be written in several ways: with other bits in the last character, or with characters that are skipped. A
cookie that was tampered with is refused also where that changes nothing, and one cookie is always one text.
"""

from collections.abc import Callable
from typing import Any

from itsdangerous import Signer, TimestampSigner
from itsdangerous.encoding import base64_decode, base64_encode


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
