"""Flask's session cookie, byte for byte: `URLSafeTimedSerializer` with Flask's salt, and its tagged JSON.

Written from the format as Flask 3.1 documents and shows it; tested against the real one, both ways.
"""

import base64
import json
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from hashlib import sha1
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer

MAX_AGE = 31 * 86_400
"""Seconds; Flask's PERMANENT_SESSION_LIFETIME, which it applies to every session cookie."""
TAGS: dict[str, Callable[[Any], Any]] = {
    " t": lambda value: tuple(_untag(item) for item in value),
    " u": uuid.UUID,
    " b": base64.b64decode,
    " m": str,
    " d": parsedate_to_datetime,
    " di": lambda value: {name.removesuffix("__"): _untag(item) for name, item in value.items()},
}


class FlaskCookies:
    """Reads and writes Flask's cookies under a list of keys, the current one last, as itsdangerous has it."""

    def __init__(self, keys: Sequence[str], max_age: int = MAX_AGE) -> None:
        self._max_age = max_age
        self._serializer = URLSafeTimedSerializer(
            list(keys),
            salt="cookie-session",
            serializer=_TaggedJson,
            signer_kwargs={"key_derivation": "hmac", "digest_method": sha1},
        )

    def dumps(self, data: dict[str, Any]) -> str:
        return str(self._serializer.dumps(data))

    def loads(self, cookie: str) -> dict[str, Any] | None:
        """The session's data; None when the cookie is not a valid one of ours, or too old."""
        try:
            data = self._serializer.loads(cookie, max_age=self._max_age)
        except (BadData, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            return None  # validly signed by a careless holder of the key, yet no session
        return data if isinstance(data, dict) else None


class _TaggedJson:
    """What itsdangerous takes for a serializer: Flask's TaggedJSONSerializer."""

    @staticmethod
    def dumps(value: Any) -> str:
        return json.dumps(_tag(value), separators=(",", ":"))

    @staticmethod
    def loads(text: str) -> Any:
        return _untag(json.loads(text))


def _tag(value: Any) -> Any:
    match value:
        case dict() if len(value) == 1 and next(iter(value)) in TAGS:
            ((name, item),) = value.items()
            return {" di": {f"{name}__": _tag(item)}}
        case dict():
            return {name: _tag(item) for name, item in value.items()}
        case tuple():
            return {" t": [_tag(item) for item in value]}
        case list():
            return [_tag(item) for item in value]
        case uuid.UUID():
            return {" u": value.hex}
        case bytes():
            return {" b": base64.b64encode(value).decode()}
        case datetime():
            return {" d": format_datetime(value.astimezone(UTC), usegmt=True)}
        case _:
            return value


def _untag(value: Any) -> Any:
    match value:
        case dict() if len(value) == 1 and (name := next(iter(value))) in TAGS:
            return TAGS[name](value[name])
        case dict():
            return {name: _untag(item) for name, item in value.items()}
        case list():
            return [_untag(item) for item in value]
        case _:
            return value
