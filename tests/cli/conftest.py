"""What tests of the command line may ask for."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.helpers.service import Process, process
from tests.helpers.valkey import Valkey


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and nothing of ours in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TALLYGATE_")]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def start(tmp_path: Path, server: Valkey) -> Callable[..., AbstractContextManager[Process]]:
    """Starts the service as a process, on the session's Valkey and a free port unless told otherwise."""
    return partial(process, tmp_path, redis_url=server.url, port="0")
