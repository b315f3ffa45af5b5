"""What do event streams take? `python -m bench.streams` opens 10,000 to one worker through the nginx configuration as
shipped, tells all of them of a visit, and asks for one more than `max_streams` allows.
"""

import argparse
import resource
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.arena import arena, free_ports
from bench.command import positive, run
from bench.contestants import TALLYGATE_JSON
from bench.machine import ROOT, BenchError, on_core
from bench.processes import Process, running

PATIENCE = 120.0
AT_ONCE = 100
"""Streams that are opened before the first of them has answered: no more than may wait for nginx to accept them."""
REQUEST = "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n{more}\r\n"
KEPT_OPEN, CLOSED = "", "Connection: close\r\n"


def main() -> int:
    """Print what each stream takes of worker and nginx; the exit code is 1 if one more is let in."""
    parser = argparse.ArgumentParser(prog="python -m bench.streams", description=__doc__)
    parser.add_argument("--streams", type=positive, default=10_000, help="streams (10,000)")
    number = parser.parse_args().streams
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    environment = {**TALLYGATE_JSON.environment, "TALLYGATE_MAX_STREAMS": str(number)}
    with ExitStack() as stack:
        place = stack.enter_context(arena())
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="tallygate-nginx-")))
        server = stack.enter_context(place.serve(replace(TALLYGATE_JSON, environment=environment)))
        (port,) = free_ports(1)
        nginx = stack.enter_context(running(_nginx(folder, port, server.url.split("/")[2]), folder))
        stack.enter_context(on_core(place.cores.others))
        _answers(port, nginx)
        programs = {"worker": server.process, "nginx": nginx}
        empty = {name: process.usage().rss for name, process in programs.items()}
        streams = [stack.enter_context(stream) for stream in _opened(port, number)]
        for name, process in programs.items():
            memory, files = process.usage().rss, _descriptors(process)
            print(
                f"{name}: {memory / 1e6:.0f} MB, {(memory - empty[name]) / number / 1e3:.1f} KB a stream, {files} files"
            )
        with _asked(port, "/events/visits", CLOSED) as more:
            refused = _received(more, b"\r\n\r\n").lower()
        print("one more:", refused.partition("\r\n")[0])
        cpu = server.process.usage().cpu
        with _asked(port, "/", CLOSED) as visit:
            _received(visit, b"visits")
        for each in streams:
            _received(each, b"data:")
        print(f"a visit told to all: {server.process.usage().cpu - cpu:.2f} s of the worker's CPU")
    return int("503" not in refused or "retry-after" not in refused)


def _nginx(folder: Path, port: int, upstream: str) -> list[str]:
    """The command of nginx with its configuration as shipped, but for its addresses and its folders."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        raise BenchError("nginx is not installed")
    changes = {
        "/tmp/": f"{folder}/",  # first, for the folder may lie there
        "/etc/nginx/conf.d": str(folder),
        "/srv/static": str(folder),
        "app:8000": upstream,
        "listen 8080": f"listen 127.0.0.1:{port}",
    }
    for name in ("nginx.conf", "tallygate.conf"):
        text = (ROOT / "deploy" / "nginx" / name).read_text()
        for shipped, here in changes.items():
            text = text.replace(shipped, here)
        (folder / ("main" if name == "nginx.conf" else name)).write_text(text)
    folder.chmod(0o755)
    return [program, "-p", str(folder), "-c", str(folder / "main"), "-g", "daemon off;"]


def _answers(port: int, nginx: Process) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        nginx.check()
        try:
            with _asked(port, "/ready", CLOSED) as answer:
                _received(answer, b"200")
        except (OSError, BenchError):
            time.sleep(0.1)
        else:
            return
    raise BenchError("nginx does not answer")


def _opened(port: int, number: int) -> Iterator[socket.socket]:
    """Streams that have told their first total."""
    for start in range(0, number, AT_ONCE):
        some = [_asked(port, "/events/visits", KEPT_OPEN) for _ in range(min(AT_ONCE, number - start))]
        for stream in some:
            _received(stream, b"data:")
        yield from some


def _asked(port: int, path: str, more: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), PATIENCE)
    connection.sendall(REQUEST.format(path=path, more=more).encode())
    return connection


def _received(connection: socket.socket, mark: bytes) -> str:
    """What comes, up to the mark."""
    received = b""
    while mark not in received:
        data = connection.recv(65_536)
        if not data:
            raise BenchError(f"the server hung up after {received[:200]!r}")
        received += data
    return received.decode()


def _descriptors(process: Process) -> int:
    """Open files of the process and of its children."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in (process.pid, *map(int, children)))


if __name__ == "__main__":
    run(main)
