"""What tests of the web layer may ask for."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service import process
from tests.valkey import Valkey


@pytest.fixture(scope="module")
def url(short_folder: Path, shared_server: Valkey) -> Iterator[str]:
    """The address of a service that runs as a process, for what only real sockets show; one for a whole file."""
    with process(short_folder / "web", port="0", redis_url=shared_server.url) as service:
        yield service.url()


def lines_of(log: Path) -> list[dict[str, Any]]:
    """A log's lines, which all have to be JSON."""
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()]
