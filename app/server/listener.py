"""Listening sockets, for the service and for its metrics."""

import socket

from app.settings import PREFIX, SettingsError


def listener(host: str, port: int, *, setting: str, shared: bool = False) -> socket.socket:
    """Opens a listening socket; `shared` lets other processes listen at the same address (SO_REUSEPORT).

    Raises SettingsError, which names `setting`, the port's setting.
    """
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        opened.bind((host, port))
        opened.listen(2048)
    except (OSError, TypeError) as error:
        opened.close()
        reason = error.strerror if isinstance(error, OSError) else "this is no host name"
        raise SettingsError(
            f"{setting}: cannot listen on {host}:{port} ({reason}): "
            f"stop what is there, or set another {PREFIX}{setting.upper()} or {PREFIX}HOST"
        ) from None
    return opened
