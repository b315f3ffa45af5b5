"""Opens an uploaded file: plain, gzip or ZIP, never more of it than allowed. Pure but for the file."""

import gzip
import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, cast

CHUNK_BYTES = 65_536
MAX_MEMBERS = 200
MAX_LINE_BYTES = 65_536
GZIP, ZIP = b"\x1f\x8b", b"PK"
METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""The compression methods that are read: other counters' exports use no others."""


class BadFile(ValueError):
    """A file that cannot be imported. The message names the line where there is one."""


class TooMuch(BadFile):
    """The unpacked file is larger than allowed."""


class Bounded(io.RawIOBase):
    """A stream that raises TooMuch beyond a number of bytes (decompression bombs)."""

    def __init__(self, source: IO[bytes], most: int) -> None:
        self._source = source
        self._left = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        try:
            data = self._source.read(min(len(view), CHUNK_BYTES))
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile):
            raise BadFile("the file is damaged") from None
        self._left -= len(data)
        if self._left < 0:
            raise TooMuch("the file is too large")
        view[: len(data)] = data
        return len(data)


class Upload:
    """The members of an uploaded file: one without a name, or those of a ZIP."""

    def __init__(self, path: Path, most: int) -> None:
        self._path = path
        self._most = most
        with path.open("rb") as file:
            self._magic = file.read(2)
        self.names = self._zip_names() if self._magic == ZIP else [""]
        self.reading = ""
        """The member of a ZIP that is read, for messages."""
        self.digest = self._digest()
        """Of what is in it: a file and its gzip are the same."""

    def lines(self, name: str) -> Iterator[tuple[int, str]]:
        """(number, line) of a member. Raises BadFile."""
        self.reading = name.rpartition("/")[2]
        with ExitStack() as stack:
            yield from _lines(self._open(name, stack), self._most)

    def _open(self, name: str, stack: ExitStack) -> IO[bytes]:
        """A member, unpacked, which `stack` closes. Raises BadFile."""
        file = stack.enter_context(self._path.open("rb"))
        if self._magic == GZIP:
            return cast(IO[bytes], stack.enter_context(gzip.GzipFile(fileobj=file)))
        if self._magic != ZIP:
            return file
        try:
            return stack.enter_context(stack.enter_context(zipfile.ZipFile(file)).open(name))
        except (zipfile.BadZipFile, OSError, RuntimeError):  # the directory is read, but not true to the members
            raise BadFile("the file is damaged") from None

    def _digest(self) -> str:
        """Also refuses a bomb before its rows are read, which takes minutes; a ZIP says how large it is."""
        digest = hashlib.sha256()
        with self._path.open("rb") as file:
            unpacked = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if self._magic == GZIP else file
            stream = Bounded(unpacked, self._most)
            while piece := stream.read(CHUNK_BYTES):
                digest.update(piece)
        return digest.hexdigest()[:24]

    def _zip_names(self) -> list[str]:
        try:
            with zipfile.ZipFile(self._path) as archive:
                members = archive.infolist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError):
            raise BadFile("the file is no ZIP") from None
        if len(members) > MAX_MEMBERS or sum(member.file_size for member in members) > self._most:
            raise TooMuch("the file is too large")
        if any(member.flag_bits & 1 for member in members):
            raise BadFile("the ZIP is encrypted")
        if any(member.compress_type not in METHODS for member in members):
            raise BadFile("the ZIP is packed with another method than deflate")
        return [member.filename for member in members]


def _lines(source: IO[bytes], most: int) -> Iterator[tuple[int, str]]:
    stream = io.BufferedReader(Bounded(source, most), CHUNK_BYTES)
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise BadFile(f"line {number}: is too long")
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        try:
            yield number, line.decode()
        except UnicodeDecodeError:
            raise BadFile(f"line {number}: is not in UTF-8") from None
