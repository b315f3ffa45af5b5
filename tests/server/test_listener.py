"""Listening at all addresses, of both families where there are two."""

import errno
import socket

import pytest

from app.server.listener import listener


def connects(family: socket.AddressFamily, host: str, port: int) -> bool:
    with socket.socket(family) as client:
        return client.connect_ex((host, port)) == 0


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_any_address_listens_on_ipv4_and_ipv6() -> None:
    with listener("::", 0, setting="port") as opened:
        port = opened.getsockname()[1]
        assert connects(socket.AF_INET, "127.0.0.1", port)
        assert not has_ipv6() or connects(socket.AF_INET6, "::1", port)


@pytest.mark.parametrize("number", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_any_address_falls_back_to_ipv4(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    real = socket.socket

    def without_ipv6(family: int = socket.AF_INET, *rest: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(number, "no IPv6 here")
        return real(family, *rest)

    monkeypatch.setattr("app.server.listener.socket.socket", without_ipv6)
    with listener("::", 0, setting="port") as opened:
        assert opened.getsockname()[0] == "0.0.0.0"
        assert connects(socket.AF_INET, "127.0.0.1", opened.getsockname()[1])
