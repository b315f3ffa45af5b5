"""A key, or a part of a large one, as a line of JSON: `[key, kind, position, expires, values]`.

`position` orders the parts of lists and streams and is empty elsewhere; `expires`: Unix milliseconds, -1 for never.
Texts are UTF-8 where they can be, and a byte that is not is written as U+DC80 to U+DCFF (Python's surrogateescape).
Many records are encoded and decoded at once: one at a time, most of the time goes into the calls.
"""

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

KEY = re.compile(rb'\["[^"\\]*(?:\\.[^"\\]*)*",')
"""What the lines of one key begin with, and no other's: sorted lines of a key follow each other."""
STATE = "state"
"""The position of a stream's state (its last id, its groups), which follows its entries."""
SEPARATOR = "\0"
"""Between the fields while they are encoded: JSON escapes it within a text, so that it cannot be part of one."""
_encode = json.JSONEncoder(separators=(SEPARATOR, ":")).encode


class Record(NamedTuple):
    """`values` are those of the command that writes the kind; an entry of a stream is its id, the number of its
    texts, and these.
    """

    key: str
    kind: str
    position: str
    expires: int
    values: list[str]


def encode(records: Sequence[Record]) -> list[bytes]:
    """A line for each record."""
    if not records:
        return []
    text = _encode(records)[1:-1].replace(f"]]{SEPARATOR}[", "]]\n[").replace(SEPARATOR, ",")
    return [line + b"\n" for line in text.encode().split(b"\n")]


def decode(lines: Sequence[bytes]) -> list[Record]:
    """Raises ValueError."""
    return [Record(*fields) for fields in json.loads(b"[%b]" % b",".join(lines))]


def texts(raw: Sequence[bytes]) -> list[str]:
    return [one.decode("utf-8", "surrogateescape") for one in raw]


def raw(texts: Sequence[str]) -> list[bytes]:
    return [text.encode("utf-8", "surrogateescape") for text in texts]
