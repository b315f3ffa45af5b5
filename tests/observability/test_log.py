"""The log: JSON for programs, words for a terminal, and no secret in either."""

import json
import logging
import os
import pty
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse

from app.observability.log import LogFile, _Handler, configure_logging, redact
from app.settings import Settings, SettingsError
from dev.serving import served
from tests.helpers.logs import lines_of
from tests.helpers.service import ROOT
from tests.helpers.sockets import PATIENCE, connected, free_port
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import until

SECRET = "hunter2-hunter2"


@pytest.fixture
def log(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file that the log goes to, from level info or the parameter's on."""
    path = tmp_path / "service.log"
    file = LogFile(path)
    configure_logging(Settings(log_level=getattr(request, "param", "info")), file)
    yield path
    file.close()


def test_structlog_and_the_libraries_share_one_log(log: Path) -> None:
    structlog.get_logger("app").warning("of ours", number=7)
    logging.getLogger("some.library").warning("of a library: %s", "x", extra={"number": 8})
    ours, theirs = lines_of(log)
    assert (ours["event"], ours["level"], ours["number"]) == ("of ours", "warning", 7)
    assert (theirs["event"], theirs["level"], theirs["number"]) == ("of a library: x", "warning", 8)
    assert ours["timestamp"].endswith("Z")


def test_level_filters_lines(log: Path) -> None:
    structlog.get_logger("app").debug("too little")
    logging.getLogger("some.library").debug("too little")
    assert lines_of(log) == []


def test_an_exception_is_one_line(log: Path) -> None:
    try:
        raise ValueError(f"bad redis://user:{SECRET}@host")
    except ValueError:
        structlog.get_logger("app").exception("it failed")
    (line,) = lines_of(log)
    assert "ValueError: bad redis://user:[redacted]@host" in line["exception"]
    assert SECRET not in log.read_text()


def test_message_with_bad_arguments_is_logged(log: Path) -> None:
    record = logging.LogRecord("some.library", logging.WARNING, "", 1, "%d apples", ("seven",), None)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Handler):
            handler.handle(record)
    assert [line["event"] for line in lines_of(log)] == ["%d apples"]


def test_uvicorns_colours_are_left_out(log: Path) -> None:
    logging.getLogger("uvicorn.error").info("Running on %s", "here", extra={"color_message": "\x1b[1mRunning"})
    (line,) = lines_of(log)
    assert line["event"] == "Running on here"
    assert "color_message" not in line


def test_unknown_types_are_logged_as_text(log: Path) -> None:
    structlog.get_logger("app").warning("odd", path=Path("/x"), raw=b"\xff", many={1}, inner={"a": None, "b": 1.5})
    (line,) = lines_of(log)
    assert (line["path"], line["many"], line["inner"]) == ("/x", [1], {"a": None, "b": 1.5})


@pytest.mark.parametrize(
    "event",
    [
        {"password": SECRET},
        {"client_secret": SECRET},
        {"access_token": SECRET},
        {"Set-Cookie": SECRET},
        {"Authorization": SECRET},
        {"apiKey": SECRET},
        {"api_key": SECRET},
        {"credentials": [SECRET]},
        {"event": f"redis://user:{SECRET}@host:6379/0 is away"},
        {"event": f"redis://:{SECRET}/with/slashes@host:6379/0 is away"},
        {"event": f"redis://:{SECRET}@with@signs@host is away"},
        {"event": f"GET /callback?code={SECRET}&state=1"},
        {"event": f"Authorization: Bearer {SECRET}"},
        {"event": f"basic {SECRET}"},
        {"outer": {"inner": {"password": SECRET}}},
        {"outer": [{"token": SECRET}, f"https://a:{SECRET}@b"]},
        {"error": ValueError(f"https://a:{SECRET}@b")},
    ],
)
def test_secrets_are_redacted(event: dict[str, Any]) -> None:
    shown = redact(None, "info", event)
    assert SECRET not in str(shown)
    assert "[redacted]" in str(shown)


def test_other_values_are_not_redacted() -> None:
    event = {"event": "Redis is away", "path": "/a", "status": 200, "ms": 1.5, "reason": None, "ok": True}
    assert redact(None, "info", dict(event)) == event


password = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=8, max_size=20)


@given(password, st.sampled_from(["redis", "https", "rediss+sentinel"]))
def test_url_passwords_are_redacted(secret: str, scheme: str) -> None:
    marked = f"{secret}SECRET{secret}"
    assert "SECRET" not in str(redact(None, "info", {"event": f"cannot reach {scheme}://user:{marked}@host:1/0 now"}))


@pytest.mark.parametrize("log", ["debug"], indirect=True)
async def test_outgoing_requests_are_not_logged(log: Path) -> None:
    answer = PlainTextResponse(SECRET, headers={"Set-Cookie": f"sid={SECRET}", "Location": f"/?code={SECRET}"})
    with served(answer) as url:
        async with httpx.AsyncClient(verify=False) as client:
            await client.post(f"{url}/{SECRET}", headers={"Authorization": f"Basic {SECRET}"}, data={"code": SECRET})
    logging.getLogger("app").debug("asked")
    assert '"asked"' in log.read_text()
    assert SECRET not in log.read_text()


def test_moved_log_file_is_reopened(tmp_path: Path) -> None:
    path, other = tmp_path / "service.log", tmp_path / "other.log"
    file = LogFile(path)
    file.write("one\n")
    path.rename(other)
    file.write("two\n")
    assert path.read_text() == "two\n"
    other.rename(path)
    file.reopen()
    file.write("three\n")
    file.close()
    assert path.read_text() == "one\nthree\n"


def test_old_log_file_is_kept_if_reopening_fails(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "service.log"
    path.parent.mkdir()
    file = LogFile(path)
    path.parent.rename(tmp_path / "moved")
    with pytest.raises(SettingsError, match=r"log_file: .* cannot be written"):
        file.reopen()
    file.write("still here\n")
    file.close()
    assert (tmp_path / "moved" / "service.log").read_text() == "still here\n"


def test_after_its_end_lines_go_to_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = LogFile(tmp_path / "service.log")
    file.close()
    file.write("goodbye\n")
    assert capsys.readouterr().err == "goodbye\n"


def test_a_terminal_is_answered_in_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    file = LogFile(None)
    configure_logging(Settings(), file)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            raise ValueError(f"https://a:{SECRET}@b")
        except ValueError:
            structlog.get_logger("app").exception("it failed", path="/\x1b[31mred")
    shown = capsys.readouterr().err
    assert "it failed" in shown
    assert "ValueError: https://a:[redacted]@b" in shown
    assert "\x1b[31mred" not in shown


@pytest.mark.slow
def test_on_a_terminal_an_access_line_is_short_and_at_once(tmp_path: Path, server: Valkey) -> None:
    leader, follower = pty.openpty()
    port = free_port()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TALLYGATE_REDIS_URL": server.url, "TALLYGATE_PORT": str(port)}
    service = subprocess.Popen([sys.executable, "-m", "app"], cwd=tmp_path, env=environment, stderr=follower)
    os.close(follower)
    try:
        until(lambda: _said(port, b"GET /live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
        assert _said(port, b"GET /%1b%5b31mred%0a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    finally:
        service.terminate()
        assert service.wait(PATIENCE) == 0
    lines = _screen(leader).splitlines()
    assert not any(line.startswith("GET '/live' 200 ") for line in lines)  # a probe is logged at debug only
    assert any(line.startswith("GET '/\\x1b[31mred\\n' 404 ") for line in lines)
    with pytest.raises(json.JSONDecodeError):
        json.loads(lines[-1])


def _said(port: int, request: bytes) -> bool:
    try:
        with connected(f"http://127.0.0.1:{port}") as connection:
            connection.sendall(request)
            return connection.recv(100).startswith(b"HTTP/1.1 ")
    except OSError:
        return False


def _screen(leader: int) -> str:
    """What was written to the terminal."""
    shown = b""
    try:
        while data := os.read(leader, 65536):
            shown += data
    except OSError:  # nobody has it open any more
        pass
    os.close(leader)
    return shown.decode()


def test_a_line_that_cannot_be_written_is_given_up(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    file = LogFile(Path("/dev/full"))
    configure_logging(Settings(), file)
    structlog.get_logger("app").warning("lost")
    file.close()


def test_late_library_lines_are_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = LogFile(tmp_path / "service.log")
    configure_logging(Settings(), file)
    file.close()
    logging.getLogger("uvicorn.error").error("said too late")
    assert "said too late" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["://", "://:", "://a:", "://a:b@", "Bearer ", "? ", "@"])
def test_redacting_takes_linear_time(part: str) -> None:
    started = time.process_time()
    redact(None, "info", {"path": part * (200_000 // len(part))})
    assert time.process_time() - started < 1


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    """The limit of a file's size stands for the disk's end."""
    path = tmp_path / "log"
    program = (
        "import resource, signal, sys, pathlib; from app.observability.log import LogFile\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); log = LogFile(pathlib.Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 2000))\n"
        "for _ in range(5): log.write(('x' * 299 + '\\n') * 2)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "log.write('after\\n')"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT, check=True, timeout=60)
    assert path.read_text().splitlines() == ["x" * 299] * 3 + ["after"]


def test_text_that_is_not_utf_8_is_logged(tmp_path: Path) -> None:
    """In a process of its own: pytest could not report what it captures."""
    program = (
        "import logging, pathlib, structlog, sys\n"
        "from app.observability.log import LogFile, configure_logging\n"
        "from app.settings import Settings\n"
        "configure_logging(Settings(), LogFile(pathlib.Path(sys.argv[1])))\n"
        "odd = chr(0xdcff)\n"
        "structlog.get_logger('app').warning('odd ' + odd, path='/' + odd, inner={odd: odd})\n"
        "logging.getLogger('library').warning('odd ' + odd + ' %s', odd)\n"
    )
    path = tmp_path / "service.log"
    subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT, check=True, timeout=60)
    assert [line["event"] for line in lines_of(path)] == ["odd ?", "odd ? ?"]


def test_closed_standard_error_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    log = LogFile(None)
    log.write("a line\n")
    assert not log.terminal
