"""A key, or a part of a large one, as a line of JSON: `[key, kind, position, expires, values]`.

`position` orders the parts of lists and streams and is empty elsewhere; `expires`: Unix milliseconds, -1 for never.
Texts are UTF-8 where they can be, and a byte that is not is written as U+DC80 to U+DCFF (Python's surrogateescape).
"""

import json
import re
from dataclasses import dataclass

KEY = re.compile(rb'\["(?:[^"\\]|\\.)*",')
"""What the lines of one key begin with, and no other's: sorted lines of a key follow each other."""
STATE = "state"
"""The position of a stream's state (its last id, its groups), which follows its entries."""
_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Record:
    """`values` are those of the command that writes the kind; an entry of a stream is its id, the number of its
    texts, and these.
    """

    key: bytes
    kind: str
    position: str
    expires: int
    values: list[bytes]

    def line(self) -> bytes:
        fields = [_text(self.key), self.kind, self.position, self.expires, [_text(value) for value in self.values]]
        return _encode(fields).encode() + b"\n"


def parse(line: bytes) -> Record:
    """Raises ValueError."""
    key, kind, position, expires, values = json.loads(line)
    return Record(_bytes(key), kind, position, expires, [_bytes(value) for value in values])


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
