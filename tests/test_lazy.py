"""Libraries that are imported at their first use."""

import asyncio
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.lazy import LazyModule, imported
from app.sites.lifespan import _load
from app.sites.user_agents import UserAgents

MODULE = "import threading\nTHREAD = threading.current_thread()\n"


async def test_a_library_may_be_imported_beside_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "heavy_library.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    await imported("heavy_library")
    module = sys.modules.pop("heavy_library")
    assert module.THREAD is not threading.current_thread()
    assert LazyModule("heavy_library").THREAD is threading.current_thread()
    del sys.modules["heavy_library"]


@pytest.mark.parametrize("sites", [[], ["blog"]])
async def test_patterns_of_browsers_are_loaded_only_where_there_is_a_site(
    sites: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Looked(Exception):
        """Instead of a pause."""

    class Store:
        async def all_sites(self, after: str, count: int) -> list[str]:
            return sites

    async def pause(_: float) -> None:
        raise Looked

    agents = UserAgents()
    # Not asyncio.sleep itself: servers of other tests run in threads, and sleep.
    monkeypatch.setattr("app.sites.lifespan.asyncio", SimpleNamespace(sleep=pause, to_thread=asyncio.to_thread))
    if sites:
        await _load(agents, Store())  # type: ignore[arg-type]
    else:
        with pytest.raises(Looked):
            await _load(agents, Store())  # type: ignore[arg-type]
    assert ("_parser" in vars(agents)) == bool(sites)
