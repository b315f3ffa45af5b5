"""The errcode of a response. Pure."""

import codecs
import json
from typing import Any

import orjson

DEAD_TOKEN = frozenset({40001, 40014, 42001})
BUSY = -1
QUOTA = frozenset({45009, 45011})
NOT_ON_WHITE_LIST = frozenset({40164, 61004, 89503})
"""This service's address is not on the white list of the account or platform: an administrator has to act."""
NO_TICKET, NOT_GRANTED = 61005, 61007
BAD_TICKET = frozenset({NO_TICKET, 61006})
BAD_AUTHORIZATION = frozenset({NOT_GRANTED, 61023})
NO_SECOND_TRY = QUOTA | NOT_ON_WHITE_LIST | BAD_TICKET | BAD_AUTHORIZATION | {40013, 40125}
"""Of the token APIs: also a wrong appid or secret."""

LENIENT = json.JSONDecoder(strict=False)


def may_be_object(beginning: bytes) -> bool:
    """Whether a body that begins like this may be a JSON object."""
    text = beginning.removeprefix(codecs.BOM_UTF8).lstrip()
    return not text or text.startswith(b"{")


def parse_json(body: bytes) -> dict[str, Any]:
    """The object of a body, called text/plain or not; empty if the body is no JSON object."""
    if not may_be_object(body):
        return {}
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        document = orjson.loads(body)
    except ValueError:  # perhaps control characters, which WeChat sends
        try:
            document = LENIENT.decode(body.decode("utf-8"))
        except (ValueError, RecursionError):
            return {}
    return document if isinstance(document, dict) else {}


def errcode_of(document: dict[str, Any]) -> int:
    """A number or a text, at the top or in `base_resp`; 0 if there is none."""
    base = document.get("base_resp")
    code = document.get("errcode", base.get("ret", base.get("errcode")) if isinstance(base, dict) else 0)
    try:
        return int(code or 0)
    except (TypeError, ValueError, OverflowError):
        return 0
