"""How the supervisor treats the data it finds: it repairs what a power loss cut off, and leaves damaged data alone."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from app.store import supervisor
from app.store.embedded import Embedded, EmbeddedError, server_binary
from tests.helpers.embedded_users import answered, client, deserted, kill, users
from tests.helpers.service import ROOT
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import valkey
from tests.helpers.waiting import until

RUN = (
    "import sys, pathlib; from app.store.supervisor import main; sys.exit(main(pathlib.Path(sys.argv[1]), sys.argv[2]))"
)
INCREMENT = "redis.call('INCR', 'n') return redis.call('HINCRBY', 'h', ARGV[1], 1)"


@pytest.fixture(scope="module")
def original(short_folder: Path) -> Path:
    """A data folder as a service that was killed has left it: a thousand writes, half of them by a script."""
    folder = short_folder / "original"
    with valkey(folder) as server, server.client as asked, asked.pipeline(transaction=False) as pipeline:
        for number in range(500):
            pipeline.set(f"key-{number}", f"value-{number}")
            pipeline.eval(INCREMENT, 0, f"field-{number}")
        pipeline.execute()
        asked.waitaof(1, 0, 50_000)  # while a sync is under way, even what was acknowledged may wait in memory
        server.kill()
    (folder / "v.sock").unlink()
    return folder


@pytest.fixture
def folder(original: Path, short_folder: Path, folders: list[Path]) -> Path:
    """A copy of it."""
    folders.append(short_folder / f"copy{len(folders)}")
    shutil.copytree(original, folders[-1])
    return folders[-1]


def aof(folder: Path) -> Path:
    (found,) = folder.glob("appendonlydir/*.incr.aof")
    return found


def every_byte(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "appendonlydir").iterdir())}


@contextmanager
def held(folder: Path) -> Iterator[Embedded]:
    embedded = Embedded(folder)
    embedded.hold()
    try:
        yield embedded
    finally:
        embedded.release()


def refusal(folder: Path) -> str:
    """The one line with which a start on this folder ends."""
    with pytest.raises(EmbeddedError) as error, held(folder):
        pass
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"data_dir: the embedded Valkey cannot start on {folder}: ")
    until(partial(deserted, folder))  # a second supervisor may have been started where the first was slow
    return str(error.value)


def test_intact_file_is_read_unchanged(folder: Path) -> None:
    with held(folder), client(folder) as asked:
        assert (asked.dbsize(), asked.get("n"), asked.hlen("h")) == (502, "500", 500)


@pytest.mark.parametrize("lost", [1, 15, 60])
def test_torn_tail_costs_only_the_last_write(folder: Path, lost: int) -> None:
    os.truncate(aof(folder), aof(folder).stat().st_size - lost)
    with held(folder), client(folder) as asked:
        assert (asked.dbsize(), asked.get("n"), asked.hlen("h")) == (502, "499", 499)
        asked.incr("n")
    with users(folder), client(folder) as asked:
        assert asked.get("n") == "500"


def test_torn_transaction_is_dropped_whole(folder: Path) -> None:
    whole = aof(folder).read_bytes()
    aof(folder).write_bytes(whole[: whole.rindex(b"*4\r\n$7\r\nHINCRBY")])
    with held(folder), client(folder) as asked:
        assert (asked.get("n"), asked.hlen("h")) == ("499", 499)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ((b"*3\r\n$3\r\nSET\r\n$6\r\nkey-77", b"\0\0\0\0\0\0\0\0SET\r\n$6\r\nkey-77"), "Bad file format"),
        ((b"SET\r\n$6\r\nkey-77", b"S!T\r\n$6\r\nkey-77"), "unknown command"),
        ((b"$8\r\nvalue-77", b"$9999999\r\nvalue-77"), "Unexpected end of file"),
        ((b"$8\r\nvalue-77", b"$900\r\nvalue-77"), "Bad file format"),
    ],
)
def test_damage_in_the_middle_is_refused_and_not_touched(
    folder: Path, damage: tuple[bytes, bytes], reason: str
) -> None:
    """A length that is too large looks to the server like a torn tail: it would cut off 400 writes behind it."""
    whole = aof(folder).read_bytes()
    assert whole.count(damage[0]) == 1
    aof(folder).write_bytes(whole.replace(*damage))
    before = every_byte(folder)
    said = refusal(folder)
    assert reason in said
    assert "nothing was changed; docs/operations.md tells how to repair" in said
    assert every_byte(folder) == before


def test_damage_of_the_base_file_is_refused_and_not_touched(folder: Path) -> None:
    (base,) = folder.glob("appendonlydir/*.base.rdb")
    content = bytearray(base.read_bytes())
    content[len(content) // 2] ^= 0xFF
    base.write_bytes(content)
    before = every_byte(folder)
    refusal(folder)
    assert every_byte(folder) == before


def test_a_missing_file_is_refused(folder: Path) -> None:
    aof(folder).unlink()
    assert "doesn't exist" in refusal(folder) or "No such file" in refusal(folder)


def test_refused_start_does_not_block_the_next(folder: Path) -> None:
    whole = aof(folder).read_bytes()
    aof(folder).write_bytes(whole.replace(b"*3\r\n", b"#3\r\n", 1))
    refusal(folder)
    aof(folder).write_bytes(whole)
    with held(folder), client(folder) as asked:
        assert asked.get("n") == "500"
        assert not (folder / "failed").exists()


@pytest.mark.parametrize(
    ("rest", "torn"),
    [
        (b"", True),
        (b"*", True),
        (b"*2\r", True),
        (b"*2\r\n$4\r\nINCR\r\n$1", True),
        (b"*2\r\n$4\r\nINCR\r\n$1\r\nn", True),
        (b"*2\r\n$4\r\nINCR\r\n$99\r\nn\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n", False),
        (b"*3\r\n$3\r\nSET\r\n$1\r\nn\r\n$3000000\r\n" + b"x" * 2_000_000, False),
    ],
)
def test_torn_tail_differs_from_damage(tmp_path: Path, rest: bytes, torn: bool) -> None:
    (tmp_path / "appendonlydir").mkdir()
    (tmp_path / "appendonlydir" / "appendonly.aof.9.incr.aof").write_bytes(b"damage of long ago")
    newest = tmp_path / "appendonlydir" / "appendonly.aof.10.incr.aof"
    newest.write_bytes(b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n" * 3 + rest)
    assert supervisor.is_torn(tmp_path) is torn


def test_a_folder_without_a_file_is_not_torn(tmp_path: Path) -> None:
    assert not supervisor.is_torn(tmp_path)


@contextmanager
def a_user(folder: Path) -> Iterator[None]:
    """Somebody who uses the server, or waits for it."""
    lock = supervisor.lock_file(folder / "users.lock")
    fcntl.flock(lock, fcntl.LOCK_SH)
    yield
    os.close(lock)


def run_supervisor(folder: Path, server: str | None = None) -> "subprocess.Popen[bytes]":
    """A supervisor as a child of ours, so that its exit code is known and its lines are counted as covered."""
    return subprocess.Popen([sys.executable, "-c", RUN, str(folder), server or server_binary()], cwd=ROOT)


def test_supervisor_repairs_restarts_and_exits_after_the_last_user(folder: Path) -> None:
    os.truncate(aof(folder), aof(folder).stat().st_size - 5)
    with a_user(folder), client(folder) as asked:
        running = run_supervisor(folder)
        until(partial(answered, folder))
        assert asked.get("n") == "499"
        server = asked.info("server")["process_id"]
        kill(server)
        until(lambda: answered(folder) and asked.info("server")["process_id"] != server)
    assert running.wait(PATIENCE) == 0
    assert not (folder / "valkey.sock").exists()


def test_supervisor_without_users_exits(folder: Path, original: Path) -> None:
    """Also one that waits for a server to end."""
    data = supervisor.lock_file(original / "server.lock")
    assert supervisor.try_lock(data)
    both = run_supervisor(folder), run_supervisor(original)
    assert [running.wait(PATIENCE) for running in both] == [0, 0]
    assert not (folder / "valkey.log").exists()
    os.close(data)


def test_supervisor_reports_its_error(folder: Path) -> None:
    with a_user(folder):
        assert run_supervisor(folder, "/no/such/server").wait(PATIENCE) == 1
        assert (folder / "failed").read_text() == "/no/such/server: No such file or directory"
        aof(folder).write_bytes(b"damaged")
        assert run_supervisor(folder).wait(PATIENCE) == 1
        assert "Bad file format" in (folder / "failed").read_text()


def test_a_second_supervisor_leaves_at_once(folder: Path) -> None:
    with held(folder):
        assert run_supervisor(folder).wait(PATIENCE) == 0
        assert answered(folder)


def test_a_server_that_outlived_its_supervisor_is_asked_to_leave(folder: Path) -> None:
    """Where the kernel does not end it for us, as on macOS."""
    data = supervisor.lock_file(folder / "server.lock")
    assert supervisor.try_lock(data)
    server = supervisor.start(folder, server_binary(), data, load_torn=False)
    os.close(data)
    until(partial(answered, folder))
    with a_user(folder), client(folder) as asked:
        running = run_supervisor(folder)
        assert server.wait(PATIENCE) == 0
        until(partial(answered, folder))
        assert asked.info("server")["process_id"] != server.pid
        assert asked.get("n") == "500"
    assert running.wait(PATIENCE) == 0


@pytest.mark.parametrize(("lost", "zeros"), [(0, 1), (0, 4096), (0, 3_000_000), (15, 4096), (60, 3_000_000)])
def test_zeros_that_a_power_loss_leaves_at_the_end_are_cut_off(folder: Path, lost: int, zeros: int) -> None:
    whole = aof(folder).read_bytes()
    aof(folder).write_bytes(whole[: len(whole) - lost] + b"\0" * zeros)
    with held(folder), client(folder) as asked:
        assert asked.get("n") == ("499" if lost else "500")
        asked.incr("n")
    with users(folder), client(folder) as asked:
        assert asked.get("n") == ("500" if lost else "501")


def test_zeros_before_other_data_are_damage(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").mkdir()
    command = b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n"
    file = tmp_path / "appendonlydir" / "appendonly.aof.1.incr.aof"
    file.write_bytes(command + b"\0" * 4096 + command * 2)
    assert not supervisor.is_torn(tmp_path)
