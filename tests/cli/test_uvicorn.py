"""The service under uvicorn's own command line: `uvicorn app.main:app`."""

import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from tests.helpers.service import ROOT, Process, process
from tests.helpers.sockets import PATIENCE, connected, get, to_the_end
from tests.helpers.waiting import until

UVICORN = ("-m", "uvicorn", "app.main:app", "--port", "0")
SMUGGLED = b"GET /live HTTP/1.1\r\nHost: a\r\n\r\n"
UPGRADED = b"POST /language HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\nContent-Length: 31\r\n\r\n"
AS_JSON = {"Accept": "application/json"}
Start = Callable[..., AbstractContextManager[Process]]


def visit(url: str) -> int:
    """The number that a new visitor is told."""
    number: int = get(url, headers=AS_JSON).json()["visits"]
    return number


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_uvicorn_uses_the_embedded_server(workers: str, short_folder: Path) -> None:
    folder = short_folder / f"uvicorn-{workers}"
    with process(folder, "--workers", workers, command=UVICORN) as service:
        url = service.url()
        assert [visit(url) for _ in range(20)] == list(range(1, 21))
        get(f"{url}/nowhere?token=hunter2")
        until(lambda: '"path":"/nowhere"' in service.output)
        assert "hunter2" not in service.output  # uvicorn's own access line would show it
        for pieces in ((UPGRADED + SMUGGLED,), (UPGRADED, SMUGGLED)):
            with connected(url) as connection:
                for piece in pieces:
                    connection.sendall(piece)
                    time.sleep(0.1)
                assert to_the_end(connection).count(b"HTTP/1.1 ") == 1
    with process(folder, "--workers", workers, command=UVICORN) as service:
        assert visit(service.url()) == 21


@pytest.mark.slow
def test_reload_keeps_counting(short_folder: Path) -> None:
    folder = short_folder / "reload"
    shutil.copytree(ROOT / "app", folder / "app", ignore=shutil.ignore_patterns("__pycache__"))
    with process(folder, "--reload", command=UVICORN, source=folder) as service:
        url = service.url()
        assert visit(url) == 1
        before = get(f"{url}/live").headers["x-request-id"][:10]
        with (folder / "app" / "__init__.py").open("a") as module:
            module.write("\n# edited\n")
        until(lambda: _worker(url) not in {before, None})
        assert visit(url) == 2


def _worker(url: str) -> str | None:
    """What the names of a worker's requests begin with."""
    try:
        return get(f"{url}/live").headers["x-request-id"][:10]
    except httpx.TransportError:
        return None


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_bad_settings_end_it_with_at_most_one_line_a_worker(workers: str, tmp_path: Path) -> None:
    options = ["--workers", workers, "--timeout-worker-healthcheck", "5"]
    with process(tmp_path, *options, command=UVICORN, nonsense="1") as service:
        service.process.wait(PATIENCE)
        lines = [line for line in service.output.splitlines() if not line.startswith(("INFO", "ERROR"))]
    assert set(lines) == {"tallygate: TALLYGATE_NONSENSE: there is no such setting; `python -m app --help` lists them"}
    assert len(lines) <= int(workers)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"log_file": "no/folder/service.log"}, "log_file: no/folder/service.log cannot be written"),
        (
            {"redis_url": "rediss://redis?ssl_ca_certs=/no/such.pem"},
            "redis_url (TALLYGATE_REDIS_URL): the files of the ssl_ options",
        ),
        ({"oauth_ca_file": "/no/such.pem"}, "oauth_ca_file (TALLYGATE_OAUTH_CA_FILE): /no/such.pem cannot be used"),
        ({"data_dir": "/dev/null/data"}, "data_dir: /dev/null/data cannot be used"),
    ],
)
def test_a_start_that_fails_says_why_without_a_traceback(
    settings: dict[str, str], reason: str, start: Start, tmp_path: Path
) -> None:
    with process(tmp_path, command=UVICORN, **settings) as service:
        assert service.process.wait(PATIENCE) == 3
        assert f"tallygate: {reason}" in service.output
        assert "Traceback" not in service.output
