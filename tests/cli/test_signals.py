"""What the service does when it is told to stop, to drain, or to open its log anew."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest

from app.server.workers import START_LIMIT, STOP_LIMIT
from tests.helpers.service import Process
from tests.helpers.sockets import connected, exchange, get, streams, to_the_end
from tests.helpers.waiting import until

Start = Callable[..., AbstractContextManager[Process]]
ONE_AND_TWO = pytest.mark.parametrize("workers", ["1", "2"])
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def paths_in(log: Path) -> list[str]:
    lines = log.read_text().split("\n")[:-1] if log.exists() else []  # the last may not be whole yet
    return [json.loads(line)["path"] for line in lines if '"access"' in line]


@pytest.mark.slow
@ONE_AND_TWO
def test_sigterm_ends_with_a_hundred_open_streams(workers: str, start: Start) -> None:
    with start("--workers", workers, log_level="warning") as service, streams(service.url(), 100) as opened:
        began = time.monotonic()
        assert service.end() == 0
        assert time.monotonic() - began < STOP_LIMIT  # 0.3 s where nothing else runs; then a stream would be cut off
        for stream in opened:
            assert to_the_end(stream).endswith(b"event: bye\ndata: {}\n\n\r\n0\r\n\r\n")
        assert said(service) == []


def said(service: Process) -> list[str]:
    """What it has printed, beside what it prints for its operator when it starts."""
    return [line for line in service.output.splitlines() if not line.startswith("tallygate")]


@pytest.mark.slow
@ONE_AND_TWO
def test_ctrl_c_exits_silently_with_success(workers: str, start: Start) -> None:
    with start("--workers", workers, log_level="warning") as service:
        service.url()
        os.killpg(service.process.pid, signal.SIGINT)  # a terminal tells everybody,
        time.sleep(0.002)  # and the parent sends the signal again
        assert service.end(signal.SIGINT) == 0
        assert said(service) == []


@pytest.mark.slow
def test_sigterm_before_it_has_started_is_a_success(start: Start) -> None:
    with start() as service:
        until(lambda: "http://" in service.output)
        assert service.end() == 0
        assert "Traceback" not in service.output


@pytest.mark.slow
def test_requests_in_flight_are_finished(start: Start) -> None:
    with start() as service:
        url = service.url()
        body = b"locale=zh&next=/"
        head = b"POST /language HTTP/1.1\r\nHost: tallygate.test\r\nContent-Length: %d\r\n" % len(body)
        kind = b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
        with connected(url) as connection:
            connection.sendall(head + kind + body[:5])
            until(lambda: _answers(url))
            service.process.send_signal(signal.SIGTERM)
            until(lambda: not _answers(url))
            connection.sendall(body[5:])
            assert to_the_end(connection).startswith(b"HTTP/1.1 303 ")
        assert service.end() == 0


def _answers(url: str) -> bool:
    try:
        return exchange(url, b"GET /live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") != b""
    except OSError:
        return False


def serve(service: Process, workers: int) -> None:
    """Waits until so many workers have answered: one that starts does not hear every signal yet."""
    url, names = service.url(), set()

    def all_have() -> bool:
        names.add(get(f"{url}/live").headers["x-request-id"][:10])  # its first part is the worker's
        return len(names) == workers

    until(all_have)


@pytest.mark.slow
@ONE_AND_TWO
@on_linux
def test_sighup_reopens_the_log_file(workers: str, start: Start, tmp_path: Path) -> None:
    log, old = tmp_path / "service.log", tmp_path / "service.log.1"
    with start("--log-file", str(log), "--workers", workers) as service:
        url = service.url()
        get(f"{url}/before")
        until(lambda: "/before" in paths_in(log))
        serve(service, int(workers))
        pids = service.workers
        log.rename(old)
        service.process.send_signal(signal.SIGHUP)
        until(lambda: all(_has_open(pid, log) for pid in pids))
        until(lambda: not any(_has_open(pid, old) for pid in pids))
        get(f"{url}/after")
        until(lambda: "/after" in paths_in(log))
        assert "/after" not in paths_in(old)
        deadline = time.monotonic() + 1  # uvicorn's supervisor looks for signals twice a second
        while time.monotonic() < deadline:
            assert service.workers == pids, "SIGHUP has started workers anew"
            time.sleep(0.02)
        assert service.end() == 0


def _has_open(pid: int, file: Path) -> bool:
    opened = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since
            opened.add(link.readlink())
    return file in opened


@pytest.mark.slow
def test_sighup_keeps_the_old_file_where_a_new_one_cannot_be_opened(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = folder / "service.log"
    with start("--log-file", str(log)) as service:
        url = service.url()
        moved = folder.rename(tmp_path / "moved")
        service.process.send_signal(signal.SIGHUP)
        until(lambda: "cannot be written" in (moved / "service.log").read_text())
        get(f"{url}/after")
        until(lambda: "/after" in paths_in(moved / "service.log"))


@pytest.mark.slow
def test_sighup_without_a_log_file_is_ignored(start: Start) -> None:
    with start() as service:
        until(lambda: "http://" in service.output)
        for _ in range(5):
            service.process.send_signal(signal.SIGHUP)
        url = service.url()
        for _ in range(5):
            service.process.send_signal(signal.SIGHUP)
        assert get(f"{url}/live").status_code == 200
        assert service.end() == 0


@pytest.mark.slow
def test_sigusr1_drains(start: Start) -> None:
    with start("--workers", "2") as service:
        url = service.url()
        serve(service, 2)
        assert get(f"{url}/ready").status_code == 200
        service.process.send_signal(signal.SIGUSR1)
        until(lambda: {_ready(url) for _ in range(20)} == {503})
        assert get(url).status_code == 200
        assert service.end() == 0


def _ready(url: str) -> int:
    return get(f"{url}/ready").status_code


@pytest.mark.slow
@on_linux
def test_a_worker_that_dies_silently_is_replaced_at_once(start: Start) -> None:
    """Its supervisor waits a minute for a sign of life from one that hangs, but not from one that is dead."""
    with start("--workers", "2") as service:
        service.url()
        until(lambda: len(service.workers) == 2)
        worker = service.workers[0]
        os.kill(worker, signal.SIGSTOP)
        time.sleep(1.5)  # until it is surely asked, which nobody can see
        os.kill(worker, signal.SIGKILL)
        until(lambda: worker not in service.workers and len(service.workers) == 2, seconds=START_LIMIT / 2)
        assert service.end() == 0


@pytest.mark.slow
@ONE_AND_TWO
@on_linux
def test_children_inherit_no_descriptors(workers: str, start: Start, tmp_path: Path) -> None:
    """A child that inherits the listening socket keeps the port after the service has gone."""
    with start("--log-file", str(tmp_path / "service.log"), "--workers", workers) as service, streams(service.url(), 5):
        # Another worker may be starting still.
        until(lambda: not any(_inheritable(pid) for pid in service.workers))


def _inheritable(pid: int) -> list[int]:
    descriptors = [int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return [fd for fd in descriptors if fd > 2 and not _closes_on_exec(pid, fd)]


def _closes_on_exec(pid: int, fd: int) -> bool:
    try:
        info = Path(f"/proc/{pid}/fdinfo/{fd}").read_text()
    except FileNotFoundError:  # closed since
        return True
    (flags,) = [line.split()[1] for line in info.splitlines() if line.startswith("flags:")]
    return bool(int(flags, 8) & os.O_CLOEXEC)
