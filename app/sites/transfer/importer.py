"""Imports a file into a site: summed up first, staged in Redis, then added piece by piece, each exactly once."""

import asyncio
import tempfile
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

import orjson

from app.sites.models import Site
from app.sites.site_calendar import cached_zone
from app.sites.transfer.cells import Context
from app.sites.transfer.formats import READERS, detect
from app.sites.transfer.import_script import APPLY_PIECE, FORGET_IMPORT
from app.sites.transfer.summed_file import SummedFile, is_after
from app.sites.transfer.unpack import BadFile, TooMuch, Upload
from app.store import keys
from app.store.client import Store
from app.store.hashes import set_if_exists

ROWS_PER_CALL = 400
UNDO_SECONDS = 30 * 86_400
"""Seconds after which an import cannot be undone any more."""
MAX_IMPORTS = 200
MAX_FILES, MAX_FILES_OF_USER = 16, 4
"""Files that one worker holds on its disk at the same time, of all users and of one; more are refused."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Summary:
    id: str
    format: str
    visits: int
    pages: int


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file as it arrives."""

    user_id: str
    """Who sends it."""
    pieces: AsyncIterator[bytes]
    format: str | None = None
    """None: detected."""


class Gone(Exception):
    """The site or the import has been removed meanwhile, or the import is being undone."""


class TooManyFiles(Exception):
    """As many files as allowed are being imported."""


class Importer:
    """Raises StoreUnavailable. An import that Redis interrupts goes on where it was when the file is sent again."""

    def __init__(self, store: Store, most_bytes: Callable[[], int], reached: Sequence[int] = ()) -> None:
        """`reached` are the totals of visits that raise `site.reached`."""
        self._store = store
        self._reached = " ".join(map(str, reached))
        self._most = most_bytes
        self._turns = asyncio.Semaphore(2)
        """Files that are read at the same time: each takes a thread."""
        self._turn_of: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """One file of a user at a time, so that the others have the second thread."""
        self._files: Counter[str] = Counter()
        """Of each user who imports."""

    async def preview(self, site: Site, file: Incoming, today: date) -> Summary:
        """Raises BadFile, TooMuch, TooManyFiles."""
        with self._folder(file.user_id) as folder:
            path = await self._save(file.pieces, folder)
            async with self._turn_of.setdefault(file.user_id, asyncio.Lock()), self._turns:
                return (await asyncio.to_thread(self._read, site, path, file.format, today))[0]

    async def run(self, site: Site, file: Incoming, today: date) -> Summary:
        """The same file twice changes nothing. Raises BadFile, Gone, TooMuch, TooManyFiles."""
        with self._folder(file.user_id) as folder:
            path = await self._save(file.pieces, folder)
            async with self._turn_of.setdefault(file.user_id, asyncio.Lock()), self._turns:
                summary, staged = await asyncio.to_thread(self._read, site, path, file.format, today)
                if await self._imports_key_has(site, summary.id):
                    if not await self._is_unfinished(site, summary.id):
                        return summary
                else:
                    await self._stage(site, summary, staged)
                await self._apply(site, summary.id)
        return summary

    async def undo(self, site: Site, import_id: str) -> bool:
        """Undoes an import, also one that is being added; False if there is none, or it is older than UNDO_SECONDS."""
        meta, imports = self._meta(site, import_id), self._key(site, "imports")
        if not await set_if_exists(self._store, meta, "undone", 1):  # from now on no piece is added
            return False
        try:
            for piece in range(int(await self._store.idempotent("HGET", meta, "done") or 0), 0, -1):
                await self._apply_piece(site, import_id, piece, -1)
        except Gone:
            return False
        await FORGET_IMPORT.run(self._store, [imports, meta], import_id)
        return True

    async def list(self, site: Site) -> list[dict[str, object]]:
        reply = await self._store.idempotent("HGETALL", self._key(site, "imports"))
        return [{"id": name.decode(), **orjson.loads(told)} for name, told in reply.items()]

    @contextmanager
    def _folder(self, user_id: str) -> Iterator[Path]:
        """A folder for one file of the user. Raises TooManyFiles."""
        if self._files.total() >= MAX_FILES or self._files[user_id] >= MAX_FILES_OF_USER:
            raise TooManyFiles
        self._files[user_id] += 1
        try:
            with tempfile.TemporaryDirectory(prefix="tallygate-import-") as folder:
                yield Path(folder)
        finally:
            self._files -= Counter([user_id])  # drops users who import nothing any more

    async def _save(self, pieces: AsyncIterator[bytes], folder: Path) -> Path:
        """Writes the upload to a file as it arrives."""
        path, size = folder / "upload", 0
        with path.open("wb") as file:
            async for piece in pieces:
                size += len(piece)
                if size > self._most():
                    raise TooMuch("the file is too large")
                await asyncio.to_thread(file.write, piece)
        if not size:
            raise BadFile("the file is empty")
        return path

    def _read(self, site: Site, path: Path, kind: str | None, today: date) -> tuple[Summary, Path]:
        """Sums the file up; the pieces to add are in the second file, a line each. In a thread."""
        upload = Upload(path, self._most())
        kind = kind or detect(upload)
        with SummedFile(path.with_name("summed")) as summed:
            try:
                summed.add(READERS[kind](upload, Context(site.rules, cached_zone(site.time_zone))))
            except BadFile as error:
                raise type(error)(f"{upload.reading}, {error}" if upload.reading else str(error)) from None
            visits, pages = summed.totals()
            staged = path.with_name("staged")
            oldest = today - timedelta(days=site.retention_days) if site.retention_days else date.min
            with staged.open("wb") as file:
                for piece in _pieces(summed, oldest):
                    file.write(orjson.dumps(piece) + b"\n")
        return Summary(upload.digest, kind, visits, pages), staged

    async def _stage(self, site: Site, summary: Summary, staged: Path) -> None:
        """Writes all pieces to Redis before the first is added, so that a failure changes nothing."""
        meta, count = self._meta(site, summary.id), 0
        await self._store.idempotent("HSETNX", meta, "pieces", 0)
        await self._store.idempotent("EXPIRE", meta, UNDO_SECONDS)  # what is staged of a file that never ends goes, too
        with staged.open("rb") as file:
            for count, line in enumerate(file, 1):
                await self._store.idempotent("HSET", meta, f"piece:{count}", zlib.compress(line, 1))
        await self._store.idempotent("HSET", meta, "pieces", count)
        await self._store.idempotent("HSETNX", meta, "done", 0)  # the same file may be sent twice at the same time
        await self._store.idempotent("EXPIRE", meta, UNDO_SECONDS)
        told = orjson.dumps({"format": summary.format, "visits": summary.visits, "pages": summary.pages})
        await self._store.idempotent("HSET", self._key(site, "imports"), summary.id, told)

    async def _apply(self, site: Site, import_id: str) -> None:
        done, count = await self._store.idempotent("HMGET", self._meta(site, import_id), "done", "pieces")
        if count is None:
            raise Gone
        for piece in range(int(done or 0) + 1, int(count) + 1):
            await self._apply_piece(site, import_id, piece, 1)

    async def _apply_piece(self, site: Site, import_id: str, piece: int, sign: int) -> None:
        """Raises Gone."""
        packed = await self._store.idempotent("HGET", self._meta(site, import_id), f"piece:{piece}")
        if packed is None:
            raise Gone
        tag = keys.sites_bucket(site.bucket)
        names = [keys.site(site.bucket, site.id), tag, f"{tag}:raised"]
        arguments = (site.id, import_id, piece, sign, site.max_paths, zlib.decompress(packed), self._reached)
        if await APPLY_PIECE.run(self._store, names, *arguments) == -1:
            raise Gone

    async def _imports_key_has(self, site: Site, import_id: str) -> bool:
        imports = await self._store.idempotent("HKEYS", self._key(site, "imports"))
        if len(imports) >= MAX_IMPORTS and import_id.encode() not in imports:
            raise BadFile(f"the site has {MAX_IMPORTS} imports already")
        return import_id.encode() in imports

    async def _is_unfinished(self, site: Site, import_id: str) -> bool:
        """Raises Gone."""
        meta = self._meta(site, import_id)
        done, count, undone = await self._store.idempotent("HMGET", meta, "done", "pieces", "undone")
        if undone is not None:
            raise Gone
        return count is not None and int(done or 0) < int(count)

    def _meta(self, site: Site, import_id: str) -> str:
        return self._key(site, f"import:{import_id}")

    def _key(self, site: Site, part: str) -> str:
        return keys.site_counts(site.bucket, site.id, part)


def _pieces(summed: SummedFile, oldest: date) -> Iterator[list[list[list[object]]]]:
    """The additions of one script call: pages, the site's visitors, names of lists."""
    for rows in _batches(summed.pages()):
        detailed = [[day, path, visits, visitors, int(is_after(day, oldest))] for day, path, visits, visitors in rows]
        yield [detailed, [], []]
    for visitors in _batches(summed.visitors()):
        yield [[], [list(row) for row in visitors], []]
    for names in _batches(row for row in summed.lists() if is_after(row[0], oldest)):
        yield [[], [], [list(row) for row in names]]


def _batches(rows: Iterable[T]) -> Iterator[list[T]]:
    rows = iter(rows)
    while batch := list(islice(rows, ROWS_PER_CALL)):
        yield batch
