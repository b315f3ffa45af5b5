"""Our own Valkey: one for all who use a folder, for as long as there is one of them, whatever is killed."""

import os
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from app.store import embedded as embedded_module
from app.store import supervisor
from app.store.client import Store
from app.store.embedded import Embedded, EmbeddedError
from app.store.topology import Single
from tests.helpers.embedded_users import User, answered, client, deserted, kill, left_behind, only, users
from tests.helpers.sockets import PATIENCE
from tests.helpers.waiting import answers, eventually, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc for what is left behind")


@pytest.fixture
def folder(short_folder: Path, folders: list[Path]) -> Path:
    """A data folder, which is not there yet."""
    folders.append(short_folder / f"data{len(folders)}")
    return folders[-1]


def complete(folder: Path) -> bool:
    """Whether there are a supervisor and a server; supervisors that came too late may be about to leave."""
    return sorted(left_behind(folder).values()) == ["server", "supervisor"]


def test_processes_that_start_together_share_one_server(folder: Path) -> None:
    with users(folder, 4), client(folder) as asked:
        until(partial(complete, folder))
        assert asked.config_get("appendonly") == {"appendonly": "yes"}
        assert asked.config_get("port") == {"port": "0"}
        assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.slow
def test_server_ends_with_its_last_user(folder: Path) -> None:
    with users(folder, 2) as (first, second), client(folder) as asked:
        asked.set("k", "v")
        server = asked.info("server")["run_id"]
        first.kill()
        time.sleep(1.5)  # longer than a supervisor waits before it stops the server
        assert asked.info("server")["run_id"] == server
        second.kill()
        until(partial(deserted, folder))
    with users(folder), client(folder) as asked:
        assert asked.get("k") == "v"


def test_a_restart_finds_the_server_that_it_left(folder: Path) -> None:
    """As `uvicorn --reload` does it: the old process has ended before the new one begins."""
    later = Embedded(folder)
    with users(folder), client(folder) as asked:
        server = asked.info("server")["run_id"]
    later.hold()  # without the time that it takes to start a process, which may be more than the server waits
    with client(folder) as asked:
        assert asked.info("server")["run_id"] == server
    later.release()


def test_killed_server_restarts_with_its_data(folder: Path) -> None:
    with users(folder):
        for number in range(1, 4):  # also when it is killed again right after its start
            with client(folder) as asked:
                assert asked.incr("n") == number
                asked.waitaof(1, 0, 50_000)  # while a sync is under way, even what was acknowledged may wait in memory
                kill(only(folder, "server"))
                until(partial(answered, folder))
        with client(folder) as asked:
            assert asked.get("n") == "3"


def test_start_during_a_kill_succeeds(folder: Path) -> None:
    with users(folder):
        kill(only(folder, "server"))
        with users(folder) as _:
            assert answered(folder)


async def test_killed_supervisor_stops_its_server_and_both_restart(folder: Path) -> None:
    embedded = Embedded(folder)
    embedded.hold()
    async with Store(Single(embedded.url, 5, prepare=embedded.revive), 5) as store:
        assert await store.once("INCR", "n") == 1
        before = set(left_behind(folder))
        kill(only(folder, "supervisor"))
        assert await answers(store, "GET", "n") == b"1"
        await eventually(lambda: complete(folder) and not before & set(left_behind(folder)))
        assert await store.once("INCR", "n") == 2
    embedded.release()


def test_second_server_waits_until_the_first_has_ended(folder: Path) -> None:
    """Two servers on the same files would lose what the first had acknowledged."""
    with users(folder), client(folder) as asked:
        asked.set("k", "v")
        server = only(folder, "server")
        kill(server, signal.SIGSTOP)
        kill(only(folder, "supervisor"))
        with User(folder).process as late:
            until(lambda: "supervisor" in left_behind(folder).values())
            time.sleep(0.5)  # ten times as long as a supervisor takes to start a server
            beside = [pid for pid, name in left_behind(folder).items() if name == "server" and pid != server]
            kill(server, signal.SIGCONT)
            assert not beside
            assert late.stdout is not None
            assert late.stdout.readline() == b"holds\n"
            assert only(folder, "server") != server
            assert asked.get("k") == "v"
            late.communicate(timeout=PATIENCE)


def test_leftovers_of_a_crash_are_ignored(folder: Path) -> None:
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(folder / "valkey.sock"))
    for name in ("supervisor.lock", "users.lock", "server.lock"):
        (folder / name).write_text("4711")
    (folder / "failed").write_text("a reason of last week")
    (folder / "failed.new").write_text("half of")
    with users(folder), client(folder) as asked:
        assert asked.ping()
        assert not (folder / "failed").exists()


@pytest.mark.parametrize("name", ["with space'and\"quotes", "100%#?", "数据", "-port"])
async def test_a_folder_may_have_any_name(folder: Path, folders: list[Path], name: str) -> None:
    folders.append(folder / name)
    embedded = Embedded(folder / name)
    embedded.hold()
    async with Store(Single(embedded.url, 5), 5) as store:
        assert await store.once("SET", "k", "v") == b"OK"
    embedded.release()
    assert (folder / name / "appendonlydir").is_dir()


@pytest.mark.slow
def test_nothing_of_the_service_is_inherited(folder: Path) -> None:
    """A listening socket in there would keep the port after the service has gone."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.set_inheritable(True)
        inode = os.fstat(listening.fileno()).st_ino
        with users(folder, pass_fds=[listening.fileno()]) as (user,):
            until(partial(complete, folder))
            opened = {pid: descriptors(pid) for pid in (user.process.pid, *left_behind(folder))}
            assert f"socket:[{inode}]" in opened.pop(user.process.pid)
            assert len(opened) == 2
            for entry in [entry for found in opened.values() for entry in found]:
                assert entry != f"socket:[{inode}]"
                is_library = ".so" in Path(entry).name  # newer versions of libffi keep their own file open
                assert not entry.startswith("/") or entry.startswith(("/dev/", f"{folder}/")) or is_library


def descriptors(pid: int) -> list[str]:
    return [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]


def test_a_folder_under_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match=r"^data_dir: .*/file/data cannot be used \(Not a directory\): choose"):
        Embedded(tmp_path / "file" / "data").hold()


def test_a_path_too_long_for_a_socket_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    with pytest.raises(EmbeddedError, match="is too long for a socket in it: choose one of at most 91 bytes"):
        Embedded(folder).hold()
    assert not folder.exists()


def test_a_missing_server_is_said_in_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EmbeddedError, match=r"^there is no embedded Valkey for \w+ on \w+: install valkey, or set"):
        Embedded(folder).hold()
    assert not folder.exists()


def test_installed_server_binary_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "redis-server").touch(0o755)
    assert embedded_module.server_binary() == str(tmp_path / "redis-server")


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("#!/bin/sh\nexit 3\n", "it gave no reason"),
        ("#!/no/such/interpreter\n", "server: No such file or directory"),
        ("neither a program nor a script", "server: Exec format error"),
    ],
)
def test_a_server_that_cannot_run_is_said_in_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, reason: str
) -> None:
    binary = tmp_path / "server"
    binary.write_text(program)
    binary.chmod(0o755)
    monkeypatch.setattr(embedded_module, "server_binary", lambda: str(binary))
    with pytest.raises(EmbeddedError, match=r"^data_dir: the embedded Valkey cannot start on") as error:
        Embedded(folder).hold()
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_a_server_that_never_answers_is_given_up(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = tmp_path / "server"
    binary.write_text("#!/bin/sh\nexec sleep 60\n")
    binary.chmod(0o755)
    monkeypatch.setattr(embedded_module, "server_binary", lambda: str(binary))
    monkeypatch.setattr(embedded_module, "START_LIMIT", 0.3)
    with pytest.raises(EmbeddedError, match=r"does not answer; see .*/valkey.log"):
        Embedded(folder).hold()


def test_wait_for_a_stopping_server_has_a_deadline(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    lock = supervisor.lock_file(folder / "users.lock")
    assert supervisor.try_lock(lock)  # as a supervisor does it
    with User(folder).process as late, monkeypatch.context() as patch:
        patch.setattr(embedded_module, "START_LIMIT", 0.2)
        with pytest.raises(EmbeddedError, match="is stopping, and does not end"):
            Embedded(folder).hold()
        os.close(lock)
        assert late.stdout is not None
        assert late.stdout.readline() == b"holds\n"
        late.communicate(timeout=PATIENCE)


def test_server_that_never_starts_ends_with_its_users(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "server"
    binary.write_text("#!/bin/sh\nkill -9 $$\n")
    binary.chmod(0o755)
    monkeypatch.setattr(embedded_module, "server_binary", lambda: str(binary))
    monkeypatch.setattr(embedded_module, "START_LIMIT", 0.3)
    with pytest.raises(EmbeddedError, match="does not answer"):
        Embedded(folder).hold()
    until(partial(deserted, folder))
