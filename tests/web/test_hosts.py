"""The Host header, and other heads of requests that no HTTP client would send."""

import socket
from collections.abc import Callable
from contextlib import suppress

import pytest

from app.settings import Settings
from tests.helpers.service import running
from tests.helpers.sockets import connected, exchange, to_the_end
from tests.helpers.waiting import until

NAMES = ["tallygate.test", "localhost:8000", "127.0.0.1", "[::1]:8000", "xn--fiqs8s", "a_b.c-d", "UPPER.example."]
NO_NAMES = [
    "",
    " ",
    "a b",
    "a/b",
    "a@b",
    "-a",
    "a:port",
    "a:",
    "a:123456",
    "a:65536",
    "[::1]:0",
    "[::1",
    "[zz::1]",
    "a,b",
    "a?b",
    "ä",
    "a" * 300,
]


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def ask(url: str, *headers: bytes, version: bytes = b"1.1", path: bytes = b"/api/visits") -> bytes:
    """The answer to a GET with exactly these headers."""
    head = [b"GET %s HTTP/%s" % (path, version), *headers, b"Connection: close", b"", b""]
    return exchange(url, b"\r\n".join(head))


@pytest.mark.parametrize("name", NAMES)
def test_a_well_formed_host_is_accepted(name: str, url: str) -> None:
    assert status(ask(url, b"Host: " + name.encode())) == 200


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_malformed_host_is_refused(name: str, url: str) -> None:
    answer = ask(url, b"Host: " + name.encode())
    assert status(answer) == 400
    assert b'"field":"Host"' in answer


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_missing_host_is_refused(version: bytes, url: str) -> None:
    assert status(ask(url, version=version)) == 400


def test_two_hosts_are_refused_even_when_they_are_the_same(url: str) -> None:
    assert status(ask(url, b"Host: tallygate.test", b"Host: tallygate.test")) == 400
    assert status(ask(url, b"Host: tallygate.test", b"hOST: other.test")) == 400


@pytest.mark.parametrize("path", [b"/live", b"/ready"])
def test_a_probe_is_answered_whatever_the_host(path: bytes, url: str) -> None:
    assert status(ask(url, path=path, version=b"1.0")) == 200
    assert status(ask(url, b"Host: a/b", path=path)) == 200


async def test_only_allowed_hosts_are_answered_where_they_are_set(make_settings: Callable[..., Settings]) -> None:
    async with running(make_settings(allowed_hosts=("tallygate.test", "[::1]"))) as service:
        for host, expected in [
            ("tallygate.test", 200),
            ("TALLYGATE.test:8443", 200),
            ("[::1]:8000", 200),
            ("tallygate.test.evil.example", 400),
            ("evil.example", 400),
            ("xtallygate.test", 400),
        ]:
            answer = await service.client.get("/", headers={"Host": host})
            assert (host, answer.status_code) == (host, expected)
        assert (await service.client.get("/live", headers={"Host": "10.1.2.3"})).status_code == 200


async def test_many_hosts_use_bounded_memory(make_settings: Callable[..., Settings]) -> None:
    async with running(make_settings()) as service:
        for number in range(200):
            answer = await service.client.get("/live", headers={"Host": f"{number}.example"})
            assert answer.status_code == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"NONSENSE\r\n\r\n",
        b"GET /live HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET \xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /language HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /language HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /live HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n folded\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost : a\r\n\r\n",
    ],
)
def test_malformed_request_gets_400_with_security_headers(request_bytes: bytes, url: str) -> None:
    answer = exchange(url, request_bytes)
    assert status(answer) == 400
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert b"x-content-type-options: nosniff" in head
    assert b"connection: close" in head
    assert exchange(url, b"GET /live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 200 ")


CHUNKED = b"POST /language HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_trailers_are_no_headers(url: str) -> None:
    """A proxy in front, which takes out forged headers, has looked at the head alone."""
    refused = exchange(url, CHUNKED + b"0\r\nAccept: application/json\r\n\r\n")
    assert status(refused) == 400
    assert b"content-type: text/html" in refused


@pytest.mark.parametrize(
    "start",
    [
        b"GET /",
        b"GET /live HTTP/1.1\r\nHost: a\r\nX-A: ",
        b"GET /live HTTP/1.1\r\nHost: a\r\n",
        CHUNKED + b"0\r\nX-A: ",
        CHUNKED + b"0\r\n",
    ],
    ids=["path", "header", "headers", "trailer", "trailers"],
)
def test_a_head_or_trailers_without_end_are_cut_off(start: bytes, url: str) -> None:
    with connected(url) as connection:
        connection.sendall(start)
        piece = b"X-B: 1\r\n" * 1000 if start.endswith(b"\n") else b"a" * 8000
        sent = 0
        try:
            while sent < 64_000_000:
                sent += connection.send(piece)
        except OSError:  # it has hung up
            pass
        assert sent < 16_000_000  # what both sides' buffers hold; without the limit, everything


def test_a_body_of_many_pieces_and_a_trailer_are_read(url: str) -> None:
    pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in b"locale=zh&next=" + b"a" * 70_000)
    form = CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n")
    assert status(exchange(url, form + pieces + b"0\r\nX-Sum: 1\r\n\r\n")) == 303


def test_a_head_of_several_pieces_is_read(url: str) -> None:
    with connected(url) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (
            b"GET /live HT",
            b"TP/1.1\r\nHo",
            b"st: a\r\nX-A: " + b"a" * 30_000,
            b"\r\nConnection: close\r\n\r\n",
        ):
            connection.sendall(piece)
        assert status(to_the_end(connection)) == 200


def test_too_large_head_gets_431(url: str) -> None:
    def told() -> int | None:
        with connected(url) as connection, suppress(OSError):  # it may hang up before it has heard everything
            connection.sendall(b"GET /live HTTP/1.1\r\nHost: a\r\nX-A: ")
            connection.sendall(b"a" * 400_000)
            connection.shutdown(socket.SHUT_WR)
            return status(to_the_end(connection))
        return None

    until(lambda: told() == 431)


def test_disconnect_within_a_body_is_no_error(url: str) -> None:
    with connected(url) as connection:
        connection.sendall(b"POST /language HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n")
        connection.sendall(b"Content-Type: application/x-www-form-urlencoded\r\n\r\nlocale=")
    assert status(ask(url, b"Host: a")) == 200
