"""`python -m app`: it starts, or it says in one line why not."""

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.helpers.service import Process, process
from tests.helpers.sockets import PATIENCE, free_port, get
from tests.helpers.waiting import until

pytestmark = pytest.mark.slow

AS_JSON = {"Accept": "application/json"}
Start = Callable[..., AbstractContextManager[Process]]


def visit(url: str) -> int:
    """The number that a new visitor is told."""
    number: int = get(url, headers=AS_JSON).json()["visits"]
    return number


def refused(folder: Path, *arguments: str, **settings: str) -> str:
    """The one line that a start which fails says."""
    with process(folder, *arguments, **settings) as service:
        assert service.process.wait(PATIENCE) == 2, service.output
        (line,) = service.output.splitlines()
    assert line.startswith("tallygate: ")
    return line.removeprefix("tallygate: ")


def test_one_command_starts_a_counting_service(short_folder: Path) -> None:
    folder = short_folder / "one"
    for expected in (1, 2):
        with process(folder, port="0") as service:
            url = service.url()
            assert url.rpartition(":")[2] not in {"0", "8000"}
            assert visit(url) == expected
            assert service.end() == 0
    assert (folder / "data").is_dir()


def test_two_workers_share_one_embedded_server_and_the_command_line(short_folder: Path) -> None:
    folder = short_folder / "two"
    folder.mkdir()
    (folder / "server.toml").write_text('metrics_token = "from-the-file"')
    arguments = ["--workers", "2", "--port", "0", "--config", "server.toml", "--log-file", "service.log"]
    with process(folder, *arguments) as service:
        url = service.url()
        numbers: list[int] = []
        workers: set[str] = set()

        def both_answer() -> bool:
            answer = get(url, AS_JSON)
            numbers.append(answer.json()["visits"])
            workers.add(answer.headers["x-request-id"][:10])  # its first part is the worker's
            return len(workers) == 2

        until(both_answer)
        assert numbers == list(range(1, len(numbers) + 1))
        assert get(f"{url}/metrics", {"Authorization": "Bearer from-the-file"}).status_code == 200
        until(lambda: '"path":"/metrics"' in (folder / "service.log").read_text())
        assert service.end() == 0


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        line = refused(tmp_path, "--port", str(port))
    assert line.startswith(f"port: cannot listen on 127.0.0.1:{port} (Address already in use): stop what is there")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("host", ["192.0.2.9", "2001:db8::9", "no.such.host.invalid", "bü..cher"])
def test_unavailable_host_is_named(host: str, tmp_path: Path) -> None:
    assert refused(tmp_path, host=host, port="0").startswith(f"port: cannot listen on {host}:0 (")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_taken_metrics_port_is_named(workers: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        line = refused(tmp_path, metrics_port=str(port), port="0", workers=workers)
    assert line.startswith(f"metrics_port: cannot listen on 127.0.0.1:{port} (Address already in use)")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_metrics_port_of_another_instance_is_taken(workers: str, short_folder: Path) -> None:
    """Its workers share the port; the metrics of two services by turns would be nobody's."""
    settings = {"metrics_port": str(free_port()), "port": "0", "workers": workers}
    with process(short_folder / "one", **settings) as one:
        one.url()
        assert refused(short_folder / "two", **settings).startswith("metrics_port: cannot listen on ")


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = refused(tmp_path, port="0", data_dir="file/data")
    assert line.startswith(f"data_dir: {tmp_path}/file/data cannot be used (Not a directory)")


def test_a_data_folder_with_too_long_a_path_is_named(tmp_path: Path) -> None:
    line = refused(tmp_path, port="0", data_dir="d" * 120)
    assert "is too long for a socket in it" in line
    assert not (tmp_path / ("d" * 120)).exists()


def test_a_log_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    line = refused(tmp_path, port="0", log_file="no/such/folder/service.log")
    assert line.startswith("log_file: no/such/folder/service.log cannot be written (No such file or directory)")


def test_a_metrics_file_that_cannot_be_written_is_named(tmp_path: Path, start: Start) -> None:
    with start("--metrics-file", str(tmp_path)) as service:
        assert service.process.wait(PATIENCE) == 2
        assert service.output.splitlines()[1:] == [
            f"tallygate: metrics_file: {tmp_path} cannot be written (Is a directory): choose another"
        ]


def test_missing_temporary_folder_names_the_setting(short_folder: Path) -> None:
    """As in a container with a read-only root."""
    program = "import sys, tempfile, app.__main__ as m; tempfile.tempdir = '/nowhere'; sys.exit(m.main())"
    with process(short_folder / "readonly", command=("-c", program), port="0", workers="2") as service:
        assert service.process.wait(20) == 2
        assert service.output.splitlines()[1].startswith("tallygate: metrics_file: the workers' metrics need a file")


def test_service_starts_without_redis(tmp_path: Path) -> None:
    with process(tmp_path, port="0", redis_url="redis://127.0.0.1:1", redis_timeout="0.2") as service:
        url = service.url()
        assert get(f"{url}/ready").status_code == 503
        assert get(url, headers=AS_JSON).json() == {"visits": None}
        assert service.end() == 0


def test_service_listens_on_ipv6(start: Start) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with start(host="::1") as service:
        assert service.url().startswith("http://[::1]:")


def test_at_every_address_a_client_of_ipv4_is_shown_as_one(start: Start) -> None:
    with start(host="::") as service:
        port = service.url().rpartition(":")[2]
        assert get(f"http://127.0.0.1:{port}/", AS_JSON).status_code == 200
        until(lambda: '"client":"127.0.0.1"' in service.output)
