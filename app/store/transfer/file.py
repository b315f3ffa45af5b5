"""The file of an export, gzip'd lines of JSON: a header, the records, sorted, and a footer with what was counted.

Equal stores give equal files, whatever the server.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from app.store.transfer.record import KEY

FORMAT, VERSION = "tallygate-export", 1
LEVEL = 4
"""gzip's level: higher ones take twice as long for a tenth less."""


class BadFile(Exception):
    """The file is no whole export; the text says why, and stands behind the file's name."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The footer."""

    keys: int
    lines: int
    sha256: str


def write(file: IO[bytes], lines: Iterable[bytes]) -> Summary:
    """Writes sorted lines. Raises OSError."""
    digest, keys, count, key = hashlib.sha256(), 0, 0, b"\n"
    header = json.dumps({"format": FORMAT, "version": VERSION}).encode() + b"\n"
    with gzip.GzipFile("", "wb", LEVEL, file, mtime=0) as packed:
        packed.write(header)
        digest.update(header)
        for line in lines:
            if not line.startswith(key):
                key = key_of(line)
                keys += 1
            count += 1
            packed.write(line)
            digest.update(line)
        summary = Summary(keys, count, digest.hexdigest())
        packed.write(json.dumps({"keys": keys, "lines": count, "sha256": summary.sha256}).encode() + b"\n")
    return summary


def key_of(line: bytes) -> bytes:
    """The part of the line that all lines of its key share."""
    found = KEY.match(line)
    assert found is not None
    return found[0]


def check(file: IO[bytes]) -> Summary:
    """Reads the whole file. Raises BadFile unless it is a whole export, as it was written."""
    try:
        with gzip.GzipFile(fileobj=file) as packed:
            _check_header(packed.readline(4096))
            packed.seek(0)
            digest, last, before = hashlib.sha256(), b"", -1
            for line in packed:
                digest.update(last)
                last, before = line, before + 1
        footer = json.loads(last)
        summary = Summary(footer["keys"], footer["lines"], footer["sha256"])
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise BadFile("is damaged or not complete") from None
    except (ValueError, TypeError, KeyError):
        raise BadFile("is not complete") from None
    if (summary.lines, summary.sha256) != (before - 1, digest.hexdigest()):
        raise BadFile("is damaged: it is not what was exported")
    return summary


def records(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file that `check` has accepted, without header and footer."""
    with gzip.GzipFile(fileobj=file) as packed:
        packed.readline()
        for line in packed:
            if line.startswith(b"["):
                yield line


def _check_header(line: bytes) -> None:
    try:
        header = json.loads(line)
        known = header["format"] == FORMAT
    except (ValueError, TypeError, KeyError):
        known = False
    if not known:
        raise BadFile("is not an export of Tallygate")
    if header.get("version") != VERSION:
        raise BadFile("was exported by a newer version")
