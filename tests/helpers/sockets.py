"""Plain sockets: for what an HTTP client refuses to send, or does not show."""

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

import httpx

PATIENCE = 60.0
"""Seconds until what should come counts as missing: much comes late on a busy machine, and waiting costs nothing."""


def free_port() -> int:
    """A port that nobody listens at for now."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Such ports, all different, of those that the system gives to no connection by itself: nobody takes them soon."""
    ports: list[int] = []
    with ExitStack() as held:
        while len(ports) < count:
            port = random.randrange(10_000, 32_000)
            with suppress(OSError):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
                ports.append(port)
    return ports


def get(url: str, headers: dict[str, str] | None = None) -> httpx.Response:
    """Asks on a connection of its own, so that any worker may answer."""
    return httpx.get(url, headers=headers, timeout=PATIENCE, verify=False)  # over http: no certificates to load


def connected(url: str) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname is not None
    return socket.create_connection((parts.hostname, parts.port or 80), timeout=PATIENCE)


def exchange(url: str, request: bytes) -> bytes:
    """Everything that the server says to these bytes until it hangs up; say `Connection: close` in them."""
    with connected(url) as connection:
        connection.sendall(request)
        return to_the_end(connection)


def to_the_end(connection: socket.socket) -> bytes:
    """What still comes, until the other side hangs up."""
    received = b""
    while True:
        try:
            data = connection.recv(65536)
        except ConnectionResetError:
            return received
        if not data:
            return received
        received += data


def receive(connection: socket.socket, mark: bytes) -> bytes:
    """What comes, up to and with the mark."""
    received = b""
    while mark not in received:
        data = connection.recv(65536)
        assert data, received
        received += data
    return received


@contextmanager
def streams(url: str, number: int) -> Iterator[list[socket.socket]]:
    """Event streams that have told their first total."""
    with ExitStack() as stack:
        opened = [stack.enter_context(connected(url)) for _ in range(number)]
        for connection in opened:
            connection.sendall(b"GET /events/visits HTTP/1.1\r\nHost: tallygate.test\r\n\r\n")
        for connection in opened:
            receive(connection, b"event: visits")
        yield opened
