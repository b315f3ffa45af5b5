"""`python -m app back-up FOLDER`: an export with a date for its name, checked by importing it; old ones are removed."""

import sys
import tempfile
from argparse import ArgumentParser
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from app.cli import export_data, import_data
from app.cli.command import Command, CommandError, Invocation, with_nodes
from app.settings import Settings
from app.store.transfer import file
from app.store.transfer.record import decode
from app.store.transfer.sorting import SortedLines

NAME = "tallygate-*.gz"
FORM = "tallygate-%Y%m%dT%H%M%SZ.gz"
DEFAULT_KEEP = 7


def run(invocation: Invocation) -> int:
    settings, folder, keep = invocation.settings(), invocation.options.folder, invocation.options.keep
    if not folder:
        raise CommandError("back-up: name the folder: python -m app back-up FOLDER")
    if keep < 1:
        raise CommandError("back-up: --keep has to be 1 or more")
    target = Path(folder) / datetime.now(UTC).strftime(FORM)
    export_data.export(settings, str(target), left_out=())
    try:
        check(settings, target)
    except CommandError:
        target.rename(target.with_suffix(".bad"))  # no reason to remove an older one that is good
        raise
    for old in sorted(Path(folder).glob(NAME))[:-keep]:
        old.unlink()
    print(f"tallygate: {target} was imported into an empty store and is whole", file=sys.stderr)
    return 0


def check(settings: Settings, target: Path) -> None:
    """Imports the file into an empty embedded Valkey, and reads it from there. Raises CommandError for a difference."""
    with tempfile.TemporaryDirectory(prefix="tg") as empty, SortedLines(Path(empty)) as lines:
        elsewhere = settings.model_copy(update={"redis_url": None, "data_dir": Path(empty) / "data"})
        import_data.load_file(elsewhere, str(target))
        with_nodes(elsewhere, lambda nodes: export_data.collect(nodes, lines, ()))
        with target.open("rb") as source:
            found = iter(lines)
            line = next(found, None)
            for written in chain.from_iterable(file.lines(source)):
                if written == line:
                    line = next(found, None)
                elif not _has_expired(written):
                    raise CommandError(f"back-up: {target} cannot be read back: a key is missing or not the same")
            if line is not None:
                raise CommandError(f"back-up: {target} cannot be read back: there is a key too many")


def _has_expired(line: bytes) -> bool:
    return 0 <= decode([line])[0].expires <= datetime.now(UTC).timestamp() * 1000


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", metavar="FOLDER")
    parser.add_argument("--keep", type=int, default=DEFAULT_KEEP, help="how many exports stay in the folder")


command = Command(run, add_options)
