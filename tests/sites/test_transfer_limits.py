"""Imports at the same time, and what comes between the pieces of one."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.sites.models import Site
from app.sites.transfer import importer
from app.store.client import StoreUnavailable
from tests.helpers.api import problem
from tests.helpers.cast import signed_in
from tests.helpers.sockets import PATIENCE
from tests.sites.conftest import Desk


async def test_files_that_are_imported_at_the_same_time_are_bounded(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "MAX_FILES", 1)
    url = f"/api/sites/{await desk.site()}/imports"
    arrives, goes_on = asyncio.Event(), asyncio.Event()

    async def slow_file() -> AsyncIterator[bytes]:
        yield b"path,visits\n"
        arrives.set()
        await goes_on.wait()
        yield b"/slow,1\n"

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        first = tasks.create_task(desk.owner.post(url, content=slow_file()))
        await arrives.wait()
        refused = problem(await desk.owner.post(url, content=b"path,visits\n/a,1\n"), 503)
        assert str(refused["detail"]).startswith("Too many files")
        goes_on.set()
    assert first.result().status_code == 201
    assert (await desk.owner.post(url, content=b"path,visits\n/a,1\n")).status_code == 201


async def test_one_user_does_not_keep_others_from_importing(desk: Desk) -> None:
    url = f"/api/sites/{await desk.site()}/imports"
    charlie = await signed_in(desk.service, "charlie")
    made = (await charlie.post("/api/sites", json={"name": "C", "hosts": ["c.example"]})).json()
    arrived, goes_on = asyncio.Semaphore(0), asyncio.Event()

    async def slow_file(number: int) -> AsyncIterator[bytes]:
        yield b"path,visits\n"
        arrived.release()
        await goes_on.wait()
        yield b"/%d,1\n" % number

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        for number in range(importer.MAX_FILES_OF_USER):
            tasks.create_task(desk.owner.post(url, content=slow_file(number)))
            await arrived.acquire()
        problem(await desk.owner.post(url, content=b"path,visits\n/a,1\n"), 503)
        other = await charlie.post(f"/api/sites/{made['id']}/imports", content=b"path,visits\n/a,1\n")
        assert other.status_code == 201
        goes_on.set()
    assert (await desk.owner.post(url, content=b"path,visits\n/a,1\n")).status_code == 201


async def test_large_files_of_one_user_are_read_one_after_the_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    charlie = await signed_in(desk.service, "charlie")
    url = f"/api/sites/{await desk.site()}/imports"
    other = (await charlie.post("/api/sites", json={"name": "C", "hosts": ["c.example"]})).json()["id"]
    goes_on, saved = threading.Event(), asyncio.Semaphore(0)
    read, save = importer.Importer._read, importer.Importer._save

    def slowly(self: importer.Importer, site: Site, *arguments: Any) -> Any:
        assert site.id == other or goes_on.wait(PATIENCE)
        return read(self, site, *arguments)

    async def telling(self: importer.Importer, *arguments: Any) -> Any:
        path = await save(self, *arguments)
        saved.release()
        return path

    monkeypatch.setattr(importer.Importer, "_read", slowly)
    monkeypatch.setattr(importer.Importer, "_save", telling)
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
        large = [tasks.create_task(desk.owner.post(url, content=b"path,visits\n/%d,1\n" % each)) for each in range(3)]
        for _ in large:
            await saved.acquire()
        answer = await charlie.post(f"/api/sites/{other}/imports", content=b"path,visits\n/a,1\n")
        assert answer.status_code == 201
        goes_on.set()
    assert [task.result().status_code for task in large] == [201] * 3


Act = Callable[[str], Awaitable[httpx.Response]]
Interrupt = Callable[[Act], None]
FILE = b"path,visits\n" + b"".join(b"/%d,1\n" % n for n in range(9))


@pytest.fixture
def meanwhile(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Interrupt:
    """Calls a function with the id of an import before its third piece of a row is added."""
    monkeypatch.setattr(importer, "ROWS_PER_CALL", 1)
    running = desk.service.state["importer"]
    apply_piece = running._apply_piece

    def interrupt(act: Act) -> None:
        async def interrupted(site: object, import_id: str, piece: int, sign: int) -> object:
            if (piece, sign) == (3, 1):
                monkeypatch.setattr(running, "_apply_piece", apply_piece)
                assert (await act(import_id)).status_code == 204
            return await apply_piece(site, import_id, piece, sign)

        monkeypatch.setattr(running, "_apply_piece", interrupted)

    return interrupt


async def test_import_that_is_undone_while_it_is_added_leaves_nothing(desk: Desk, meanwhile: Interrupt) -> None:
    site = await desk.site()
    url = f"/api/sites/{site}/imports"
    meanwhile(lambda import_id: desk.owner.delete(f"{url}/{import_id}"))
    problem(await desk.owner.post(url, content=FILE), 409)
    assert (await desk.owner.get(url)).json() == {"imports": []}
    assert (await desk.stats(site, **{"from": "all"}))["visits"] == 0
    assert (await desk.owner.post(url, content=FILE)).status_code == 201
    assert (await desk.stats(site, **{"from": "all"}))["visits"] == 9


async def test_undoing_that_was_interrupted_goes_on_and_the_import_does_not(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, meanwhile: Interrupt
) -> None:
    site = await desk.site()
    url = f"/api/sites/{site}/imports"
    running = desk.service.state["importer"]
    ids = []

    async def begin(import_id: str) -> httpx.Response:
        ids.append(import_id)
        apply_piece = running._apply_piece

        async def away(*_: object) -> None:
            raise StoreUnavailable("away", sent=False)

        monkeypatch.setattr(running, "_apply_piece", away)
        problem(await desk.owner.delete(f"{url}/{import_id}"), 503)
        monkeypatch.setattr(running, "_apply_piece", apply_piece)
        return httpx.Response(204)

    meanwhile(begin)
    problem(await desk.owner.post(url, content=FILE), 409)
    problem(await desk.owner.post(url, content=FILE), 409)
    answers = await asyncio.gather(*(desk.owner.delete(f"{url}/{ids[0]}") for _ in range(3)))
    assert {answer.status_code for answer in answers} <= {204, 404}
    assert (await desk.stats(site, **{"from": "all"}))["visits"] == 0


async def test_site_that_is_removed_while_a_file_is_imported_keeps_nothing(desk: Desk, meanwhile: Interrupt) -> None:
    site = await desk.site()
    meanwhile(lambda _: desk.owner.delete(f"/api/sites/{site}"))
    problem(await desk.owner.post(f"/api/sites/{site}/imports", content=FILE), 409)
    problem(await desk.owner.get(f"/api/sites/{site}"), 404)
