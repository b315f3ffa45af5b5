"""How many files are imported at the same time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.sites.transfer import importer
from tests.helpers.api import problem
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
