"""`python -m app import-data FILE`: writes what `export-data` wrote into an empty store of any kind."""

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from app.cli.command import Command, CommandError, Invocation, with_nodes
from app.cli.export_data import STANDARD
from app.cli.progress import Progress
from app.settings import Settings
from app.store.client import ResponseError, StoreUnavailable
from app.store.transfer import file
from app.store.transfer.nodes import Nodes
from app.store.transfer.record import decode
from app.store.transfer.writing import write

PARTIAL_IMPORT = "the store may have a part of the data: empty it (FLUSHALL) before you import again"


def run(invocation: Invocation) -> int:
    settings, name = invocation.settings(), invocation.options.file
    if not name:
        raise CommandError("import-data: name the file: python -m app import-data FILE (- is standard input)")
    print(f"tallygate: imported {load_file(settings, name).keys:,} keys")
    return 0


def load_file(settings: Settings, name: str) -> file.Summary:
    """Checks the whole file, and writes it into the store of the settings. Raises CommandError."""
    try:
        with _source(name) as source:
            summary = file.check(source)
            source.seek(0)
            with_nodes(settings, lambda nodes: load(nodes, source, summary))
            return summary
    except OSError as error:
        raise CommandError(f"import-data: {name} cannot be read ({error.strerror}); nothing was written") from None
    except file.BadFile as bad:
        raise CommandError(f"import-data: {name} {bad}; nothing was written") from None
    except KeyboardInterrupt:
        raise CommandError(f"import-data: interrupted; {PARTIAL_IMPORT}") from None


async def load(nodes: Nodes, source: IO[bytes], summary: file.Summary) -> None:
    """Writes the records of a checked file into an empty store. Raises CommandError, StoreUnavailable."""
    if await nodes.count() > 0:
        raise CommandError("import-data: the store is not empty; nothing was written")
    try:
        lasting = await _write(nodes, source, summary.keys)
        found = await nodes.count()
    except (StoreUnavailable, ResponseError) as error:
        raise CommandError(f"import-data: Redis refuses or is away ({error}); {PARTIAL_IMPORT}") from None
    if not lasting <= found <= summary.keys:
        raise CommandError(
            f"import-data: the store has {found:,} keys after {summary.keys:,} were written: start again"
        )


async def _write(nodes: Nodes, source: IO[bytes], keys: int) -> int:
    """Writes all records; returns how many keys are to be there afterwards, whatever expires meanwhile."""
    progress, last, lasting = Progress(keys), set[str](), 0
    soon = (time.time() + 3600) * 1000
    for lines in file.lines(source):
        records = decode(lines)
        await write(nodes, records)
        found = {record.key for record in records}
        progress.advance(len(found - last))
        lasting += len({record.key for record in records if not 0 <= record.expires <= soon} - last)
        last = found
    progress.end()
    return lasting


@contextmanager
def _source(name: str) -> Iterator[IO[bytes]]:
    """The file, which is read twice: standard input goes through a temporary one."""
    if name != STANDARD:
        with Path(name).open("rb") as source:
            yield source
        return
    with tempfile.TemporaryFile() as source:
        shutil.copyfileobj(sys.stdin.buffer, source)
        source.seek(0)
        yield source


command = Command(run, lambda parser: parser.add_argument("file", nargs="?", metavar="FILE"))
