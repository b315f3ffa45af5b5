"""What goes wrong around the service: a killed parent, closed standard streams, too few descriptors."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from tests.helpers.service import ROOT, process
from tests.helpers.sockets import PATIENCE, connected, free_port, to_the_end
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import until


def listens(url: str) -> bool:
    try:
        connected(url).close()
    except OSError:
        return False
    return True


@pytest.mark.slow
def test_workers_end_and_free_the_port_when_their_parent_is_killed(server: Valkey, tmp_path: Path) -> None:
    with process(tmp_path, port="0", redis_url=server.url, workers="2") as service:
        url = service.url()
        until(lambda: len(service.workers) == 2)
        service.process.kill()
        service.process.wait(PATIENCE)
        until(lambda: not listens(url), seconds=10)


@pytest.mark.slow
def test_a_service_without_standard_streams_runs(server: Valkey, tmp_path: Path) -> None:
    port = free_port()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TALLYGATE_REDIS_URL": server.url}
    command = f'exec "{sys.executable}" -m app --port {port} <&- >&- 2>&-'
    service = subprocess.Popen(["sh", "-c", command], cwd=tmp_path, env=environment, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: service.poll() is not None or listens(url))
        assert httpx.get(f"{url}/live", timeout=PATIENCE).status_code == 200
        assert httpx.get(f"{url}/nowhere", timeout=PATIENCE).status_code == 404
        streams = [str(Path(f"/proc/{service.pid}/fd/{number}").readlink()) for number in range(3)]
        assert streams == ["/dev/null"] * 3
    finally:
        service.send_signal(signal.SIGTERM)
        assert service.wait(PATIENCE) == 0


@pytest.mark.slow
def test_too_few_descriptors_are_logged_and_free_ones_are_used_again(server: Valkey, tmp_path: Path) -> None:
    command = (
        "-c",
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)); import runpy; "
        "runpy.run_module('app', run_name='__main__')",
    )
    with process(tmp_path, command=command, port="0", redis_url=server.url) as service:
        url = service.url()
        opened: list[socket.socket] = []
        try:
            opened.extend(connected(url) for _ in range(120))
            until(lambda: "too many files are open" in service.output)
            assert to_the_end(opened[-1]).startswith(b"HTTP/1.1 503 ")
        finally:
            for connection in opened:
                connection.close()
        until(lambda: httpx.get(f"{url}/ready", timeout=PATIENCE).status_code == 200)


@pytest.mark.slow
def test_keep_alive_follows_the_setting(server: Valkey, tmp_path: Path) -> None:
    with process(tmp_path, port="0", redis_url=server.url, keep_alive="1") as service:
        with connected(service.url()) as connection:
            connection.sendall(b"GET /live HTTP/1.1\r\nHost: tallygate.test\r\n\r\n")
            started = time.monotonic()
            assert to_the_end(connection).startswith(b"HTTP/1.1 200 ")
        assert 0.9 < time.monotonic() - started < 4


def test_the_service_keeps_idle_connections_longer_than_the_shipped_proxy() -> None:
    seconds = re.search(r"keepalive_timeout (\d+)s;", (ROOT / "deploy/nginx/tallygate.conf").read_text())
    assert seconds is not None
    assert int(seconds[1]) < Settings().keep_alive
