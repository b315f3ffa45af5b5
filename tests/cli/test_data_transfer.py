"""`export-data` and `import-data`: everything moves between stores of any kind, or nothing does."""

import gzip
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from app.cli import back_up
from app.cli.command import CommandError
from app.cli.main import main
from app.store.transfer import sorting
from tests.helpers.sockets import free_port
from tests.helpers.valkey import Valkey, valkey
from tests.helpers.waiting import until
from tests.store.cluster import cluster

Command = Callable[..., int]
LATER = int(time.time()) * 1000 + 86_400_000
LARGE = 2500
"""Elements of a key that is read in parts."""


@pytest.fixture
def run(bare: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command on the store at a URL; without one, on the embedded store of this test."""

    def run(*arguments: str, store: str = "") -> int:
        monkeypatch.setenv("TALLYGATE_REDIS_URL", store)
        return main(arguments)

    return run


def fill(client: "redis.Redis") -> None:
    """Keys of every kind and size, with texts that are no UTF-8 and look like JSON."""
    client.set("string", b"\x00\xff\xed\xa0\x80 \xf0\x9f\x99\x82\n", pxat=LATER)
    client.set('a","b', "")
    client.set(b"]]\x00[", b"]]\x00[\x00,\n")
    client.hset("{accounts}:user:1", mapping={"name": "小明", "b": "2"})
    client.hset("large hash", mapping={f"field {n}": n for n in range(LARGE)})
    client.sadd("set", "c", "a", b"\x80")
    client.sadd("large set", *range(LARGE))
    client.zadd("zset", {"a": 0.1, "b": 12345678901234567, "c": float("inf"), "d": -3})
    client.zadd("large zset", {str(n): n / 3 for n in range(LARGE)})
    client.rpush("list", "c", "a", "b")
    client.rpush("large list", *range(LARGE))
    client.pexpireat("large list", LATER)
    client.pfadd("visitors", *range(1000))
    client.hset("session:1", mapping={"user": "1"})
    client.set("session-origin:1", "corp")
    _fill_streams(client)


def _fill_streams(client: "redis.Redis") -> None:
    for number in range(LARGE):
        client.xadd("stream", {"n": number, "more": "x"}, id=f"{number + 1}-0")
    client.xdel("stream", "2500-0", "3-0")
    client.xgroup_create("stream", "hooks", "0")
    client.xgroup_create("stream", "new", "$")
    client.xgroup_createconsumer("stream", "hooks", "idle")
    client.xreadgroup("hooks", "busy", {"stream": ">"}, count=5)
    client.xack("stream", "hooks", "1-0")
    client.xadd("emptied stream", {"a": "b"}, id="5-5")
    client.xtrim("emptied stream", 0)
    client.xgroup_create("never filled", "hooks", "0", mkstream=True)


def lines_of(file: Path) -> list[bytes]:
    return gzip.decompress(file.read_bytes()).splitlines()


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Debian's Redis, whose files Valkey cannot read."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("there is no Redis here: apt-get install redis-server")
    port = free_port()
    folder.mkdir()
    server = subprocess.Popen([binary, "--port", str(port), "--dir", folder, "--save", ""], stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port) as client:
            until(lambda: _answers(client))
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture
def exported(run: Command, server: Valkey, bare: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An export of keys of every kind, sorted in many runs."""
    monkeypatch.setattr(sorting, "RUN_BYTES", 5000)
    with server.client as client:
        fill(client)
    assert run("export-data", "export.gz", store=server.url) == 0
    return bare / "export.gz"


def test_import_and_export_are_byte_equal(run: Command, exported: Path, short_folder: Path, server: Valkey) -> None:
    with valkey(short_folder / "target") as target:
        assert run("import-data", str(exported), store=target.url) == 0
        assert run("export-data", "again.gz", store=target.url) == 0
        assert Path("again.gz").read_bytes() == exported.read_bytes()
        with server.client as before, target.client as after:
            assert sorted(after.keys()) == sorted(before.keys())
            for key in (b"large hash", b'a","b', b"]]\x00[", b"string", b"set", b"visitors", b"large list"):
                assert after.pexpiretime(key) == before.pexpiretime(key)
            assert after.hgetall("large hash") == before.hgetall("large hash")
            for name in (b"string", b"]]\x00["):
                assert after.get(name) == before.get(name)
            assert after.lrange("large list", 0, -1) == before.lrange("large list", 0, -1)
            assert after.pfcount("visitors") == before.pfcount("visitors")
            assert after.zrange("zset", 0, -1, withscores=True) == before.zrange("zset", 0, -1, withscores=True)
            assert after.xrange("stream") == before.xrange("stream")
            assert after.xinfo_groups("stream") == before.xinfo_groups("stream")
            pending = {(entry["message_id"], entry["times_delivered"]) for entry in _pending(after)}
            assert pending == {(b"2-0", 1), (b"4-0", 1), (b"5-0", 1), (b"6-0", 1)}


def _pending(client: "redis.Redis") -> list[Any]:
    found: list[Any] = client.xpending_range("stream", "hooks", "-", "+", 10, "busy")
    return found


@pytest.mark.slow
def test_data_moves_from_valkey_to_redis_to_a_cluster_to_the_embedded_store(
    run: Command, exported: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYGATE_DATA_DIR", str(short_folder / "data"))
    with redis_server(short_folder / "redis") as url:
        assert run("import-data", str(exported), store=url) == 0
        assert run("export-data", "from-redis.gz", store=url) == 0
    with cluster(short_folder) as nodes:
        assert run("import-data", "from-redis.gz", store=nodes.url) == 0
        assert run("export-data", "from-cluster.gz", store=nodes.url) == 0
    assert run("import-data", "from-cluster.gz") == 0
    assert run("export-data", "from-embedded.gz") == 0
    assert Path("from-embedded.gz").read_bytes() == exported.read_bytes()


def test_export_without_sessions_signs_users_out(run: Command, exported: Path, server: Valkey) -> None:
    assert run("export-data", "--without-sessions", "less.gz", store=server.url) == 0
    left_out = {json.loads(line)[0] for line in set(lines_of(exported)[1:-1]) - set(lines_of(Path("less.gz")))}
    assert left_out == {"session:1", "session-origin:1"}
    assert json.loads(lines_of(Path("less.gz"))[-1])["keys"] == json.loads(lines_of(exported)[-1])["keys"] - 2


def test_import_refuses_a_store_with_data(
    run: Command, exported: Path, server: Valkey, capsys: pytest.CaptureFixture[str]
) -> None:
    with server.client as client:
        client.flushall()
        client.set("own", "1")
        assert run("import-data", str(exported), store=server.url) == 2
        assert "the store is not empty; nothing was written" in capsys.readouterr().err
        assert client.keys() == [b"own"]


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _without(number: int) -> Callable[[bytes], bytes]:
    """The file without a line, packed anew."""

    def shortened(content: bytes) -> bytes:
        lines = gzip.decompress(content).splitlines(keepends=True)
        return gzip.compress(b"".join(lines[:number] + lines[number + 1 or len(lines) :]))

    return shortened


BROKEN: list[tuple[Callable[[bytes], bytes], str]] = [
    (_half, "is damaged or not complete"),
    (_without(-1), "is not complete"),
    (_without(20), "is damaged: it is not what was exported"),
    (lambda content: content[:-40] + b"\x00" * 40, "is damaged or not complete"),
    (lambda _: b"", "is not an export of Tallygate"),
    (lambda _: b"REDIS0011", "is damaged or not complete"),
    (lambda _: gzip.compress(b'{"some":"json"}\n'), "is not an export of Tallygate"),
    (
        lambda content: gzip.compress(gzip.decompress(content).replace(b'"version": 1', b'"version": 2')),
        "was exported by a newer version",
    ),
]


def test_truncated_file_is_refused(
    run: Command, exported: Path, server: Valkey, capsys: pytest.CaptureFixture[str]
) -> None:
    with server.client as client:
        client.flushall()
        for broken, reason in BROKEN:
            Path("broken.gz").write_bytes(broken(exported.read_bytes()))
            capsys.readouterr()
            assert run("import-data", "broken.gz", store=server.url) == 2
            assert capsys.readouterr().err == f"tallygate: import-data: broken.gz {reason}; nothing was written\n"
            assert client.dbsize() == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("export-data",), "name the file"),
        (("import-data",), "name the file"),
        (("back-up",), "name the folder"),
        (("back-up", "--keep", "0", "."), "--keep has to be 1 or more"),
        (("back-up", "no-such-folder"), "cannot be written (No such file or directory)"),
        (("export-data", "no/such/folder/file"), "cannot be written (No such file or directory)"),
        (("import-data", "missing.gz"), "cannot be read (No such file or directory)"),
    ],
)
def test_missing_file_or_store_prints_one_line(
    run: Command, server: Valkey, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], reason: str
) -> None:
    assert run(*arguments, store=server.url) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line


def test_failed_export_keeps_the_former_file(run: Command, exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = exported.read_bytes()
    assert run("export-data", str(exported), store="redis://127.0.0.1:1") == 2
    assert "Redis does not answer" in capsys.readouterr().err
    assert exported.read_bytes() == before
    assert [path.name for path in exported.parent.iterdir()] == [exported.name]


@pytest.mark.slow
def test_a_back_up_is_checked_and_old_ones_go(
    run: Command, exported: Path, server: Valkey, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path("kept")
    folder.mkdir()
    for day in (1, 2, 3):
        (folder / f"tallygate-2025010{day}T000000Z.gz").touch()
    (folder / "other.gz").touch()
    with server.client as client:
        client.set("short-lived", "1", px=1000)
    assert run("back-up", "--keep", "2", str(folder), store=server.url) == 0
    assert "is whole" in capsys.readouterr().err
    other, third, latest = sorted(path.name for path in folder.iterdir())
    assert (other, third) == ("other.gz", "tallygate-20250103T000000Z.gz")
    written = [line for line in lines_of(folder / latest) if not line.startswith(b'["short-lived"')]
    assert written[1:-1] == lines_of(exported)[1:-1]


def test_a_back_up_that_cannot_be_imported_again_removes_no_other(
    run: Command, server: Valkey, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path("kept")
    folder.mkdir()
    (folder / "tallygate-20250101T000000Z.gz").touch()

    def check(settings: object, target: Path) -> None:
        raise CommandError("back-up: a key is missing")

    monkeypatch.setattr(back_up, "check", check)
    assert run("back-up", "--keep", "1", str(folder), store=server.url) == 2
    assert "a key is missing" in capsys.readouterr().err
    assert [path.suffix for path in sorted(folder.iterdir())] == [".gz", ".bad"]


def test_an_export_is_for_its_owner_alone(exported: Path) -> None:
    assert exported.stat().st_mode & 0o777 == 0o600
