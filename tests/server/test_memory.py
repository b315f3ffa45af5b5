"""What an idle worker has loaded; tests/containers/test_image.py measures how much it takes."""

import sys
from pathlib import Path

import httpx
import pytest

from tests.helpers.service import process
from tests.helpers.valkey import Valkey

OPTIONAL = ("cryptography", "cbor2", "jsonschema_rs", "ua_parser_rs", "_sqlite3", "maxminddb")
"""Compiled parts of libraries that only some requests use."""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_idle_worker_has_loaded_no_optional_library(short_folder: Path, server: Valkey) -> None:
    with process(short_folder / "idle", port="0", redis_url=server.url) as service:
        for path, status in {"/": 200, "/sign-in": 200, "/api/session": 401, "/ready": 200}.items():
            assert httpx.get(service.url() + path).status_code == status
        loaded = Path(f"/proc/{service.process.pid}/maps").read_text()
    assert "pydantic_core" in loaded
    assert [name for name in OPTIONAL if f"/{name}/" in loaded or f"/{name}." in loaded] == []
