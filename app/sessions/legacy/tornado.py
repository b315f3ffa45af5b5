"""Tornado's signed cookie, version 2, as `create_signed_value` makes it; version 1 (SHA-1) is refused."""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable

MAX_AGE = 31 * 86_400
"""Seconds; Tornado's default for reading."""


class TornadoCookies:
    """Reads `2|len:key|len:time|len:name|len:base64(value)|signature`, each field with its length in characters."""

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret.encode()
        self._clock = clock

    def loads(self, name: str, cookie: str) -> bytes | None:
        """The value signed for this name; None if the cookie is not valid or too old."""
        if not cookie.startswith("2|"):
            return None
        signed, separator, signature = cookie.rpartition("|")
        expected = hmac.new(self._secret, (signed + separator).encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            return None
        fields = _fields(signed.removeprefix("2|") + "|")
        if fields is None or len(fields) != 4:
            return None
        _, stamp, for_name, value = fields
        try:
            age = self._clock() - int(stamp)
            return base64.b64decode(value, validate=True) if for_name == name and abs(age) < MAX_AGE else None
        except ValueError:
            return None


def _fields(text: str) -> list[str] | None:
    """The fields of `len:value|len:value|...`; None if the lengths do not fit."""
    fields = []
    while text:
        length, separator, rest = text.partition(":")
        if not separator or not length.isdecimal() or len(length) > 5:
            return None
        end = int(length)
        if rest[end : end + 1] != "|":
            return None
        fields.append(rest[:end])
        text = rest[end + 1 :]
    return fields
