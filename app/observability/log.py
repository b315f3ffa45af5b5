"""Logs: structlog, JSON lines outside a terminal, one access line per request, secrets redacted."""

import io
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import structlog

from app.settings import Settings, SettingsError

SECRET_NAME = re.compile(r"pass|secret|token|cookie|authorization|api_?key|credential", re.IGNORECASE)
WORD = re.compile(r"\S+")
URL_USER = re.compile(r"://[^/\s:@]*:")
SECRET_VALUES = (
    (re.compile(r"(\?)[^\s\"']+"), r"\1[redacted]"),  # a URL's query
    (re.compile(r"\b(Bearer|Basic)\s+\S+", re.IGNORECASE), r"\1 [redacted]"),
)
MAX_LOGGED_PATH = 256
"""Characters of a path in the log."""
BUFFER = 256
"""Access lines that are buffered before they are written in one go; a timer calls `flush` as well."""


class LogFile:
    """The destination of lines: standard error, or a file that is opened again after it was moved away."""

    def __init__(self, path: Path | None) -> None:
        """Raises SettingsError where the file cannot be written."""
        self._path = path
        self._file = None if path is None else _opened(path)
        self.terminal = path is None and sys.stderr is not None and sys.stderr.isatty()

    def write(self, text: str) -> None:
        """Writes the text if it can: a full disk must not fail requests."""
        data = text.encode("utf-8", "replace")
        with suppress(OSError):
            if self._file is not None:
                if self._moved():
                    with suppress(SettingsError):
                        self.reopen()
                _write_lines(self._file, data)
            elif sys.stderr is not None:  # None where it was closed before the start
                sys.stderr.write(data.decode())
                sys.stderr.flush()

    def _moved(self) -> bool:
        """Whether something has moved or removed the file since it was opened (as WatchedFileHandler checks)."""
        if self._path is None or self._file is None:
            return False
        with suppress(FileNotFoundError):
            return not os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))
        return True

    def reopen(self) -> None:
        """Opens the file anew. Raises SettingsError, and keeps the old file, if that fails."""
        if self._path is not None and self._file is not None:
            old, self._file = self._file, _opened(self._path)
            old.close()

    def close(self) -> None:
        """Later lines go to standard error."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _opened(path: Path) -> io.FileIO:
    try:
        return io.FileIO(path, "a")
    except OSError as error:
        raise SettingsError(
            f"log_file: {path} cannot be written ({error.strerror}): choose another, or change its folder's owner"
        ) from None


def _write_lines(file: io.FileIO, data: bytes) -> None:
    """Appends the lines; where the disk is full, only those that fit as a whole."""
    written = file.write(data)
    if written < len(data):
        torn = written - (data.rfind(b"\n", 0, written) + 1)
        end = file.tell()
        if end == os.fstat(file.fileno()).st_size:  # else another process has written meanwhile
            file.truncate(end - torn)


class AccessLog:
    """One line per request: method, path without query, status, duration, size, client, request id."""

    def __init__(self) -> None:
        self._file: LogFile | None = None
        self._lines: list[str] = []
        self._quiet: frozenset[str] = frozenset()
        self.traceparent: Callable[[], str] | None = None
        """Returns the header `traceparent` of the request's span; set if tracing is on."""
        self._millisecond, self._stamp = 0, ""

    def open(self, file: LogFile, *, enabled: bool, quiet: frozenset[str] = frozenset()) -> None:
        """`quiet` are paths of which only failed requests are logged."""
        self._file = file if enabled else None
        self._quiet = quiet

    def add(
        self, method: str, path: str, status: int, seconds: float, size: int, client: str | None, request_id: str
    ) -> None:
        if self._file is None or (path in self._quiet and status == 200):
            return
        if self._file.terminal:
            self._file.write(f"{method} {path[:MAX_LOGGED_PATH]!r} {status} {seconds * 1000:.1f} ms {request_id}\n")
            return
        trace = "" if self.traceparent is None else f',"traceparent":"{self.traceparent()}"'
        # Formatted by hand: a fifth of a JSON library's time. Only path and client need JSON's escapes.
        self._lines.append(
            f'{{"timestamp":"{self._now()}","level":"info","event":"access","method":"{method}",'
            f'"path":{_quoted(path)},"status":{status},"ms":{seconds * 1000:.2f},"bytes":{size},'
            f'"client":{_quoted(client) if client else "null"},"request_id":"{request_id}"{trace}}}'
        )
        if len(self._lines) >= BUFFER:
            self.flush()

    def flush(self) -> None:
        if self._lines and self._file is not None:
            lines, self._lines = self._lines, []
            self._file.write("\n".join(lines) + "\n")

    def _now(self) -> str:
        """The time, formatted once a millisecond: several requests share it."""
        now = int(time.time() * 1000)
        if now != self._millisecond:
            self._millisecond = now
            second, rest = divmod(now, 1000)
            self._stamp = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"
        return self._stamp


def _quoted(text: str) -> str:
    """The beginning of a text as a JSON string. Few need escapes, and this check costs less than a cache."""
    text = text[:MAX_LOGGED_PATH]
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return orjson.dumps(text.encode("utf-8", "replace").decode()).decode()


class _Handler(logging.Handler):
    def __init__(self, file: LogFile) -> None:
        super().__init__()
        self._file = file

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except (TypeError, ValueError):  # a library's wrong format arguments must not raise
            record.args = None
            line = self.format(record)
        self._file.write(line + "\n")


def configure_logging(settings: Settings, file: LogFile) -> None:
    """Sends the log of this process and its libraries to the file: readable on a terminal, JSON elsewhere."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        _without_colour,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    last: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer(repr_native_str=True, exception_formatter=structlog.dev.plain_traceback)
        if file.terminal
        else structlog.processors.JSONRenderer(serializer=lambda event, **_: orjson.dumps(event, default=str).decode())
    )
    handler = _Handler(file)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last], foreign_pre_chain=shared
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for name in ("httpx", "httpcore"):  # they log every URL of outgoing requests, and received cookies
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # clients' mistakes, which are answered 400
    logging.getLogger("uvicorn.access").disabled = True
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _without_colour(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    event.pop("color_message", None)  # uvicorn adds each message a second time, with terminal codes
    return event


def redact(_: object, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """A structlog processor that redacts secrets, by name and by shape."""
    return {name: _redacted(name, value) for name, value in event.items()}


def _redacted(name: str, value: Any) -> Any:
    match value:
        case _ if SECRET_NAME.search(name):
            return "[redacted]"
        case Mapping():
            return {_utf_8(key): _redacted(str(key), inner) for key, inner in value.items()}
        case list() | tuple() | set():
            return [_redacted("", inner) for inner in value]
        case None | bool() | int() | float():
            return value
        case _:
            text = _utf_8(value)
            if "://" in text:
                text = WORD.sub(_without_password, text)
            for pattern, replacement in SECRET_VALUES:
                text = pattern.sub(replacement, text)
            return text


def _utf_8(value: object) -> str:
    """Text without lone surrogates, which JSON cannot hold: file names and bytes that are not UTF-8 have them."""
    return str(value).encode("utf-8", "replace").decode()


def _without_password(word: re.Match[str]) -> str:
    """Redacts a URL's password, which may contain "/" or "@". One expression for it would take quadratic time."""
    text = word[0]
    at = text.rfind("@")
    user = URL_USER.search(text, 0, max(at, 0))
    return text if user is None or user.end() == at else f"{text[: user.end()]}[redacted]{text[at:]}"
