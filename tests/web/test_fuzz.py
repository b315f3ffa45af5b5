"""Whatever bytes come in, the service answers, never with an error of its own, and goes on."""

import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.service import Running
from tests.helpers.sockets import connected, get, to_the_end

PATHS = ["/", "/language", "/api/visits", "/live", "/ready", "/static/style.css", "/static/", "/metrics", "/nowhere"]
NAMES = [b"cookie", b"accept", b"accept-language", b"host", b"sec-fetch-mode", b"sec-purpose", b"content-type"]
NAMES += [
    b"content-length",
    b"authorization",
    b"if-none-match",
    b"range",
    b"x-forwarded-for",
    b"origin",
    b"sec-fetch-site",
]
TOKENS = [
    b"locale=zh",
    b"tallygate=",
    b"__Host-tallygate=a.b",
    b"text/html",
    b"application/json",
    b";q=",
    b",",
    b"bytes=0-",
]
TOKENS += [
    b"tallygate.test",
    b"multipart/form-data; boundary=",
    b"*",
    b'"',
    b"=",
    b"9" * 30,
    b"\xff",
    b"\x00",
    b"zh-CN",
]
PIECES = [b"GET ", b"POST ", b"/", b" HTTP/1.1\r\n", b"Host: a\r\n", b"Cookie: ", b"\r\n", b"Content-Length: ", b"5"]
PIECES += [
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n",
    b"%00",
    b"\x00",
    b"\xff",
]

values = st.binary(max_size=60) | st.lists(st.sampled_from(TOKENS), max_size=6).map(b"".join)
headers = st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=5)
paths = st.sampled_from(PATHS) | st.text(max_size=40).map(lambda text: "/" + text)
bodies = st.binary(max_size=200) | st.lists(
    st.sampled_from([b"locale=", b"zh", b"next=", b"/", b"&", b"%", b"\xff"]), max_size=8
).map(b"".join)

each_time = settings(max_examples=150)


async def status_of(service: Running, scope: dict[str, Any], body: bytes) -> int:
    """The status of the answer, as a server that passes everything on would see it."""
    inbox = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Any] = []

    async def receive() -> Any:
        return inbox.pop() if inbox else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await service.app(scope | {"state": service.state.copy()}, receive, send)
    assert sent[0]["type"] == "http.response.start"
    status: int = sent[0]["status"]
    return status


@given(method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS", "BREW"]), path=paths, more=headers, body=bodies)
@each_time
async def test_fuzzed_requests_get_no_500(
    service: Running, method: str, path: str, more: list[tuple[bytes, bytes]], body: bytes
) -> None:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "replace"),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"tallygate.test"), *more],
        "client": ("192.0.2.1", 1),
        "server": ("tallygate.test", 80),
    }
    assert 200 <= await status_of(service, scope, body) < 500


@given(data=st.binary(max_size=300) | st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join))
@settings(max_examples=60)
def test_fuzzed_bytes_get_no_500(url: str, data: bytes) -> None:
    with connected(url) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = to_the_end(connection)
    for part in answer.split(b"HTTP/1.1 ")[1:]:
        assert b"100" <= part[:3] < b"500"


def fit_for_a_header(value: bytes) -> bytes:
    """The value without what ends a header, or is refused in one."""
    return bytes(byte for byte in value if byte >= 32 and byte != 127).strip()


@given(path=st.sampled_from([b"/", b"/api/session", b"/api/visits"]), more=headers)
@settings(max_examples=100)
def test_every_request_is_answered_whatever_its_headers_hold(
    url: str, path: bytes, more: list[tuple[bytes, bytes]]
) -> None:
    lines = [b"%s: %s\r\n" % (name, fit_for_a_header(value)) for name, value in more if name != b"content-length"]
    request = b"GET %s HTTP/1.1\r\nHost: tallygate.test\r\n%s\r\n" % (path, b"".join(lines))
    last = b"GET /live HTTP/1.1\r\nHost: tallygate.test\r\nConnection: close\r\n\r\n"
    with connected(url) as connection:
        connection.sendall(request + last)
        answers = to_the_end(connection).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] < b"500" for answer in answers] == [True, True]


def test_service_survives_the_fuzzing(url: str) -> None:
    assert get(f"{url}/live").status_code == 200


@pytest.mark.parametrize("upgrade", ["websocket", "h2c", "nonsense"])
def test_an_upgrade_is_not_an_error_of_ours(upgrade: str, url: str) -> None:
    names = {"Connection": "Upgrade", "Upgrade": upgrade, "Sec-WebSocket-Version": "13"}
    answer = get(url, names | {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
    assert answer.status_code < 500
