"""How late are those who wait for a change? `python -m bench.waiting` holds long polls, or streams, and changes the
namespace. The clients are bare sockets: what they cost would be taken for the service's lateness.
"""

import argparse
import http.client
import selectors
import socket
import statistics
import time
from collections.abc import Mapping

from bench.arena import Server, arena
from bench.command import positive, run
from bench.contestants import TALLYGATE_CONFIG
from bench.machine import BenchError, on_core

ALLOWED = 0.1
"""Seconds that the slowest of a hundred may be late."""
PATH = "/api/config/bench"
PATIENCE = 20.0
SETTLE = 1.0
"""Seconds until all long polls wait."""


def main() -> int:
    """Time from a change until every client has it; the exit code is 1 when it is too long."""
    parser = argparse.ArgumentParser(prog="python -m bench.waiting", description=__doc__)
    parser.add_argument("--waiting", type=positive, default=1000, help="clients (1000)")
    parser.add_argument("--changes", type=positive, default=5, help="changes, one after the other (5)")
    options = parser.parse_args()
    slowest = 0.0
    with arena() as place, place.serve(TALLYGATE_CONFIG) as server, on_core(place.cores.others):
        for streams in (False, True):
            late, cpu = _changes(server, options.waiting, options.changes, streams=streams)
            kind, p99 = "streaming" if streams else "waiting", statistics.quantiles(late, n=100)[98]
            print(
                f"{options.waiting} {kind}: median {statistics.median(late) * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms late;"
                f" {cpu / options.changes * 1e3:.0f} ms of CPU a change"
            )
            slowest = max(slowest, p99)
    return int(slowest > ALLOWED)


def _changes(server: Server, waiting: int, changes: int, *, streams: bool) -> tuple[list[float], float]:
    """(how late each client was at each change, seconds of the server's CPU from the change to the last client)."""
    host, port = server.url.split("/")[2].split(":")
    writer = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
    headers = {name: value for name, value in server.headers.items() if name.lower() != "if-none-match"}
    clients = [socket.create_connection((host, int(port)), PATIENCE) for _ in range(waiting)]
    _send(writer, "POST", "/api/config", headers, b'{"name": "bench"}')
    writer.getresponse().read()  # there is one already: 409
    _change(writer, headers)
    late, cpu, version = list[float](), 0.0, _version(writer)
    if streams:
        _ask(clients, PATH.replace("/api/", "/events/"), headers)
        _told(clients, b"id: %d" % version)
    for _ in range(changes):
        if not streams:
            _ask(clients, f"{PATH}?wait=60", headers | {"If-None-Match": f'"{version}"'})
        time.sleep(SETTLE)
        before, started = server.process.usage().cpu, time.perf_counter()
        _change(writer, headers)
        version += 1
        told = _told(clients, b"id: %d\n" % version if streams else b'etag: "%d"' % version)
        cpu += server.process.usage().cpu - before
        late += [at - started for at in told]
        if _version(writer) != version:
            raise BenchError("somebody else changes the namespace")
    for client in clients:
        client.close()
    return late, cpu


def _change(writer: http.client.HTTPConnection, headers: Mapping[str, str]) -> None:
    patch = {"Content-Type": "application/merge-patch+json"}
    _send(writer, "PATCH", PATH, {**headers, **patch}, b'{"at": %f}' % time.perf_counter())


def _version(writer: http.client.HTTPConnection) -> int:
    """The version that the change has made."""
    answer = writer.getresponse()
    answer.read()
    if answer.status != 200:
        raise BenchError(f"the change was answered with {answer.status}")
    return int(answer.headers["ETag"].strip('"'))


def _send(writer: http.client.HTTPConnection, method: str, path: str, headers: Mapping[str, str], body: bytes) -> None:
    writer.request(method, path, body, {"Content-Type": "application/json", **headers})


def _ask(clients: list[socket.socket], path: str, headers: Mapping[str, str]) -> None:
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    for client in clients:
        client.sendall("\r\n".join([*lines, "", ""]).encode())


def _told(clients: list[socket.socket], expected: bytes) -> list[float]:
    """When each client was told."""
    told = []
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client, selectors.EVENT_READ)
        end = time.perf_counter() + PATIENCE
        seen: dict[int, bytes] = {}
        while selector.get_map():
            ready = selector.select(1)
            at = time.perf_counter()
            for key, _ in ready:
                piece = key.fileobj.recv(65_536)  # type: ignore[union-attr]  # a socket, as registered
                data = seen[key.fd] = seen.get(key.fd, b"") + piece
                if expected in data:
                    told.append(at)
                    selector.unregister(key.fileobj)
                elif not piece:
                    raise BenchError(f"a client was told {data[:100]!r}")
            if at > end:
                raise BenchError(f"{len(selector.get_map())} clients were told nothing")
    return told


if __name__ == "__main__":
    run(main)
