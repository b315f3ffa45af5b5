"""The access line: one for each request, and nothing secret in it."""

import asyncio
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.observability.log import AccessLog, LogFile
from app.settings import Settings
from tests.helpers.logs import lines_of
from tests.helpers.service import running
from tests.helpers.sockets import PATIENCE

SECRET = "hunter2-hunter2"


async def logged(make_settings: Callable[..., Settings], folder: Path, *paths: str, **changes: object) -> list[str]:
    """The lines that requests for these paths leave, in the order of the requests."""
    log = folder / "service.log"
    async with running(make_settings(log_file=log, **changes)) as service:
        for path in paths:
            await service.client.get(path, headers={"Cookie": f"session={SECRET}", "Authorization": f"Bearer {SECRET}"})
    return log.read_text("utf-8").splitlines()


async def test_there_is_one_line_a_request(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    paths = ["/", "/nowhere", "/api/visits", "/static/style.css"]
    lines = [json.loads(line) for line in await logged(make_settings, tmp_path, *paths)]
    assert [line["path"] for line in lines if line["event"] == "access"] == paths
    assert [line["status"] for line in lines if line["event"] == "access"] == [200, 404, 200, 200]


async def test_access_line_has_all_fields(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    async with running(make_settings(log_file=log)) as service:
        answer = await service.client.get("/api/visits")
    (line,) = lines_of(log)
    assert 0 < line.pop("ms") < 60_000
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "event": "access",
        "method": "GET",
        "path": "/api/visits",
        "status": 200,
        "bytes": len(answer.content),
        "client": "192.0.2.1",
        "request_id": answer.headers["x-request-id"],
    }


async def test_access_line_has_no_query_cookie_or_token(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    lines = await logged(
        make_settings, tmp_path, f"/?token={SECRET}", f"/nowhere?password={SECRET}", f"/metrics?{SECRET}"
    )
    assert len(lines) == 3
    assert SECRET not in "".join(lines)


@pytest.mark.parametrize(
    "path", ['/"quoted"', "/%22%7d", "/back\\slash", "/%00%01%1f", "/%0a%0d", "/%e4%b8%ad", "/%ff", "/%ed%a0%80", "/🙂"]
)
async def test_control_characters_of_a_path_are_escaped(
    path: str, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    (line,) = await logged(make_settings, tmp_path, path)
    assert json.loads(line)["path"].startswith("/")


@given(path=st.text(max_size=300), client=st.none() | st.text(min_size=1, max_size=50))
def test_any_path_and_client_make_a_line_of_json(path: str, client: str | None) -> None:
    written: list[str] = []

    class Memory(LogFile):
        def write(self, text: str) -> None:
            written.append(text)

    log = AccessLog()
    log.open(Memory(None), enabled=True)
    log.add("GET", path, 200, 0.1, 5, client, "id")
    log.flush()
    (text,) = written
    assert text.count("\n") == 1
    assert json.loads(text)["path"] == path[:256].encode("utf-8", "replace").decode()
    assert json.loads(text)["client"] == (client and client.encode("utf-8", "replace").decode())


async def test_a_long_path_is_cut(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    (line,) = await logged(make_settings, tmp_path, "/" + "a" * 5000)
    assert json.loads(line)["path"] == "/" + "a" * 255


def test_long_paths_do_not_fill_the_memory(tmp_path: Path) -> None:
    access, log = AccessLog(), LogFile(tmp_path / "service.log")
    access.open(log, enabled=True)
    tracemalloc.start()
    for number in range(200):
        access.add("GET", f"/{number}{'a' * 50_000}", 404, 0.001, 0, "192.0.2.1", "x")
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    log.close()
    assert kept < 1_000_000  # of 10 MB


@pytest.mark.parametrize(("level", "lines"), [("debug", ["/live", "/ready"]), ("info", [])])
async def test_probes_leave_a_line_at_debug_level(
    level: str, lines: list[str], make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    written = [json.loads(line) for line in await logged(make_settings, tmp_path, "/live", "/ready", log_level=level)]
    assert [line["path"] for line in written if line["event"] == "access"] == lines


@pytest.mark.parametrize(("level", "lines"), [("debug", 1), ("info", 1), ("warning", 0), ("error", 0)])
async def test_the_level_decides_whether_there_is_a_line(
    level: str, lines: int, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    written = await logged(make_settings, tmp_path, "/", log_level=level)
    assert len([line for line in written if '"event":"access"' in line]) == lines


async def test_many_lines_are_all_written(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    paths = [f"/{number}" for number in range(600)]
    lines = await logged(make_settings, tmp_path, *paths)
    assert [json.loads(line)["path"] for line in lines] == paths


async def test_a_line_is_written_within_a_moment(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    async with running(make_settings(log_file=log)) as service:
        await service.client.get("/api/visits")
        async with asyncio.timeout(PATIENCE):
            while not log.stat().st_size:
                await asyncio.sleep(0.02)


async def test_full_disk_does_not_stop_responses(make_settings: Callable[..., Settings]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    async with running(make_settings(log_file=Path("/dev/full"))) as service:
        for _ in range(300):  # more than what is kept before it is written
            assert (await service.client.get("/api/visits")).status_code == 200


async def test_a_client_on_a_unix_socket_has_no_address(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    async with running(make_settings(log_file=log)) as service, service.another_client(client=None) as client:
        await client.get("/api/visits")
    (line,) = lines_of(log)
    assert line["client"] is None
