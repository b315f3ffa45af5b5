"""JSON without the ambiguities that RFC 8259 leaves: no doubled names, no NaN, no lone surrogates, bounded depth."""

import json
from typing import Any

import orjson

MAX_DEPTH = 64
INTEGER_RANGE = 2**63, 2**64
"""Integers from -2**63 to 2**64 - 1 are kept exactly by every part of the service."""


class BadJson(Exception):
    """The text is refused; the message is a phrase such as "is not valid JSON", which may be about one member."""

    def __init__(self, phrase: str, member: str = "") -> None:
        super().__init__(phrase)
        self.member = member


def parse(text: bytes) -> Any:
    """Raises BadJson."""
    try:
        orjson.loads(text)  # refuses NaN, infinities, lone surrogates, invalid UTF-8
        value = json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise BadJson(f"is deeper than {MAX_DEPTH} levels") from None
    except orjson.JSONDecodeError as error:
        deep = "depth" in str(error)
        raise BadJson(f"is deeper than {MAX_DEPTH} levels" if deep else "is not valid JSON") from None
    check_value(value)
    return value


def check_value(value: Any) -> None:
    """Raises BadJson for a value that is too deep or holds an integer beyond 64 bits."""
    level = [("", value)]
    for _ in range(MAX_DEPTH + 1):
        below: list[tuple[str, Any]] = []
        for member, each in level:
            if isinstance(each, dict):
                below.extend((member or name, inner) for name, inner in each.items())
            elif isinstance(each, list):
                below.extend((member, inner) for inner in each)
            elif type(each) is int and not -INTEGER_RANGE[0] <= each < INTEGER_RANGE[1]:
                raise BadJson("holds an integer of more than 64 bits", member[:64])
        if not below and not any(isinstance(each, (dict, list)) for _, each in level):
            return
        level = below
    raise BadJson(f"is deeper than {MAX_DEPTH} levels")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in result if names.count(name) > 1)
        raise BadJson(f"names {doubled[:64]} twice in one object")
    return result
