"""The file of an export, gzip'd lines of JSON: a header, the records, sorted, and a footer with what was counted.

Equal stores give equal files, whatever the server.
"""

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from app.store.transfer.record import KEY

FORMAT, VERSION = "tallygate-export", 1
LEVEL = 1
"""gzip's level, the fastest: the next ones save an eighth of the file."""
BLOCK = 65_536
"""Bytes of lines that are read at once."""


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
    with gzip.GzipFile("", "wb", LEVEL, file, mtime=0) as zipped, io.BufferedWriter(zipped, BLOCK) as packed:
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
        with _unpacked(file) as packed:
            header = packed.readline(4096)
            _check_header(header)
            digest, lines, footer_line = hashlib.sha256(header), -1, b""
            while block := packed.readlines(BLOCK):
                digest.update(footer_line)
                footer_line = block.pop()
                digest.update(b"".join(block))
                lines += len(block) + 1
        footer = json.loads(footer_line)
        summary = Summary(footer["keys"], footer["lines"], footer["sha256"])
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise BadFile("is damaged or not complete") from None
    except (ValueError, TypeError, KeyError):
        raise BadFile("is not complete") from None
    if (summary.lines, summary.sha256) != (lines, digest.hexdigest()):
        raise BadFile("is damaged: it is not what was exported")
    return summary


def lines(file: IO[bytes]) -> Iterator[list[bytes]]:
    """The records of a file that `check` has accepted, in blocks."""
    with _unpacked(file) as packed:
        packed.readline()
        while block := packed.readlines(BLOCK):
            if not block[-1].startswith(b"["):
                block.pop()
            yield block


def _unpacked(file: IO[bytes]) -> io.BufferedReader:
    return io.BufferedReader(gzip.GzipFile(fileobj=file), BLOCK)


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
