"""`python -m app export-data FILE`: writes everything that is in the store into a file that any store can import."""

import os
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from app.cli.command import Command, CommandError, Invocation, with_nodes
from app.cli.progress import Progress
from app.settings import Settings
from app.store import keys
from app.store.client import ResponseError
from app.store.transfer import file
from app.store.transfer.nodes import Nodes
from app.store.transfer.reading import UnknownKind, all_records
from app.store.transfer.record import encode
from app.store.transfer.sorting import SortedLines

OF_SESSIONS = (keys.session, keys.session_origin, keys.sessions_of, keys.oauth_session, keys.oauth_refreshing)
SESSIONS = tuple(key_of("") for key_of in OF_SESSIONS)
"""Prefixes of the keys that hold sessions."""
STANDARD = "-"


def run(invocation: Invocation) -> int:
    settings, options = invocation.settings(), invocation.options
    if not options.file:
        raise CommandError("export-data: name the file: python -m app export-data FILE (- is standard output)")
    export(settings, options.file, SESSIONS if options.without_sessions else ())
    return 0


def export(settings: Settings, name: str, left_out: tuple[str, ...]) -> None:
    """Writes the file, or standard output. Raises CommandError."""
    try:
        with _target(name) as (output, folder), SortedLines(folder) as lines:
            with_nodes(settings, lambda nodes: collect(nodes, lines, left_out))
            summary = file.write(output, lines)
    except OSError as error:
        raise CommandError(f"export-data: {name} cannot be written ({error.strerror})") from None
    except ResponseError as error:
        raise CommandError(f"export-data: Redis refuses ({error})") from None
    except UnknownKind as error:
        raise CommandError(f"export-data: {error}, which cannot be exported") from None
    except KeyboardInterrupt:
        raise CommandError("export-data: interrupted; nothing was written") from None
    print(f"tallygate: exported {summary.keys:,} keys, sha256 {summary.sha256}", file=sys.stderr)


async def collect(nodes: Nodes, lines: SortedLines, left_out: tuple[str, ...]) -> None:
    """Adds every key to `lines`, but those that begin with one of `left_out`."""
    progress, last = Progress(await nodes.count()), set[str]()
    async for records in all_records(nodes):
        found = {record.key for record in records}
        progress.advance(len(found - last))
        last = found
        lines.add(encode([record for record in records if not record.key.startswith(left_out)]))
    progress.end()


@contextmanager
def _target(name: str) -> Iterator[tuple[IO[bytes], Path]]:
    """The file to write, and the folder for temporary ones. The file gets its name when it is whole."""
    if name == STANDARD:
        yield sys.stdout.buffer, Path(tempfile.gettempdir())
        sys.stdout.buffer.flush()
        return
    target = Path(name)
    descriptor, part = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as output:
            yield output, target.parent
            output.flush()
            os.fsync(output.fileno())
        Path(part).rename(target)
    except BaseException:
        with suppress(OSError):
            Path(part).unlink()
        raise


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", metavar="FILE")
    parser.add_argument("--without-sessions", action="store_true", help="leave out who is signed in")


command = Command(run, add_options)
