"""Listening sockets, for the service and for its metrics."""

import errno
import socket
from contextlib import ExitStack

from app.settings import PREFIX, SettingsError

ANY_ADDRESS = "::"
"""All addresses of the machine, of IPv4 as well; where it has no IPv6, those of IPv4 alone."""
NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def listener(host: str, port: int, *, setting: str, shared: bool = False) -> socket.socket:
    """Opens a listening socket; `shared` lets other processes listen at the same address (SO_REUSEPORT).

    Raises SettingsError, which names `setting`, the port's setting.
    """
    try:
        return _listening(host, port, shared=shared)
    except (OSError, TypeError) as error:
        if host == ANY_ADDRESS and isinstance(error, OSError) and error.errno in NO_IPV6:
            return listener("0.0.0.0", port, setting=setting, shared=shared)  # noqa: S104  as it was told
        reason = error.strerror if isinstance(error, OSError) else "this is no host name"
        raise SettingsError(
            f"{setting}: cannot listen on {host}:{port} ({reason}): "
            f"stop what is there, or set another {PREFIX}{setting.upper()} or {PREFIX}HOST"
        ) from None


def _listening(host: str, port: int, *, shared: bool) -> socket.socket:
    with ExitStack() as unless_done:
        opened = unless_done.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if host == ANY_ADDRESS:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if shared:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind((host, port))
        opened.listen(2048)
        unless_done.pop_all()
    return opened
