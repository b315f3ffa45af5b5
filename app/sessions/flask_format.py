"""Flask's session cookie, byte for byte: `URLSafeTimedSerializer` with Flask's salt, and its tagged JSON.

Tested against Flask 3.1 in both directions.
"""

import base64
import json
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from hashlib import sha1
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer

from app.sessions.signing import StrictTimestampSigner

MAX_AGE = 31 * 86_400
"""Seconds; Flask's PERMANENT_SESSION_LIFETIME, which it applies to every session cookie."""
SKEW = 60
"""Seconds by which the clocks of two servers may differ."""


class Html(str):
    """Markup: text that a template does not escape."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


TAGS: dict[str, Callable[[Any], Any]] = {
    " t": tuple,
    " u": uuid.UUID,
    " b": base64.b64decode,
    " m": Html,
    " d": lambda text: _utc(parsedate_to_datetime(text)),
    " di": lambda value: {name[:-2]: item for name, item in value.items()},
}


class FlaskCookies:
    """Reads and writes Flask's cookies under a list of keys, the signing key last (itsdangerous' order)."""

    def __init__(self, keys: Sequence[str], max_age: int = MAX_AGE, clock: Callable[[], float] = time.time) -> None:
        self._max_age = max_age
        self._clock = clock
        self._serializer = URLSafeTimedSerializer(
            list(keys),
            salt="cookie-session",
            serializer=TaggedJson,
            signer=StrictTimestampSigner,
            signer_kwargs={"key_derivation": "hmac", "digest_method": sha1, "clock": clock},
        )

    def dumps(self, data: dict[str, Any]) -> str:
        return str(self._serializer.dumps(data))

    def loads(self, cookie: str) -> dict[str, Any] | None:
        """The session's data; None if the cookie is not valid or too old."""
        try:
            data, moment = self._serializer.loads(cookie, return_timestamp=True)
        except (BadData, ValueError, OverflowError):  # the last two: the signed time is not a time
            return None
        age = self._clock() - moment.timestamp()
        return data if isinstance(data, dict) and -SKEW < age <= self._max_age else None


class TaggedJson:
    """A serializer for itsdangerous: JSON with Flask's tags for the types that JSON lacks."""

    @staticmethod
    def dumps(value: Any) -> str:
        return json.dumps(_tag(value), separators=(",", ":"), sort_keys=True)

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
            return {" d": format_datetime(_utc(value), usegmt=True)}
        case _:
            return {" m": str(value.__html__())} if hasattr(value, "__html__") else value


def _untag(value: Any) -> Any:
    """Untags from the inside out, as Flask does."""
    match value:
        case dict():
            plain = {name: _untag(item) for name, item in value.items()}
            tag = next(iter(plain)) if len(plain) == 1 else ""
            return TAGS[tag](plain[tag]) if tag in TAGS else plain
        case list():
            return [_untag(item) for item in value]
        case _:
            return value


def _utc(moment: datetime) -> datetime:
    """Converts to UTC; a naive datetime is UTC, as in Flask."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
