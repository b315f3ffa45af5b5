"""What an idle worker has loaded; tests/containers/test_image.py measures how much it takes."""

import sys
from pathlib import Path

import httpx
import pytest

from tests.helpers.service import process
from tests.helpers.valkey import Valkey

OPTIONAL = ("cryptography", "cbor2", "jsonschema_rs", "ua_parser_rs", "maxminddb")
"""Compiled parts of libraries that only some requests use."""


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def loaded(pid: int, *names: str) -> list[str]:
    """Those of these libraries and compiled modules that the process has loaded."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    return [name for name in names if f"/{name}/" in maps or f"/{name}." in maps]


@pytest.mark.slow
def test_an_idle_worker_has_loaded_no_optional_library(short_folder: Path, server: Valkey) -> None:
    with process(short_folder / "idle", port="0", redis_url=server.url) as service:
        for path, status in {"/": 200, "/sign-in": 200, "/api/session": 401, "/ready": 200}.items():
            assert httpx.get(service.url() + path).status_code == status
        assert loaded(service.process.pid, "pydantic_core", *OPTIONAL) == ["pydantic_core"]


@pytest.mark.slow
def test_the_parent_of_workers_has_not_loaded_the_application(short_folder: Path, server: Valkey) -> None:
    with process(short_folder / "parent", port="0", redis_url=server.url, workers="2") as service:
        service.url()
        assert loaded(service.workers[0], "markupsafe") == ["markupsafe"]
        assert loaded(service.process.pid, "markupsafe", *OPTIONAL) == []
