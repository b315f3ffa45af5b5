"""Providers that are ours are ASGI apps; the service asks them over a real socket, as it would ask the real ones."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

LOOPBACK = "127.0.0.1"
START_LIMIT = 60
"""Seconds; a busy machine takes its time."""


class Unavailable(Exception):
    """A provider cannot be started; the text is one line that says why."""


def listening(port: int = 0) -> socket.socket:
    """A socket on loopback that listens; port 0 takes a free one. Raises Unavailable."""
    try:
        listener = socket.create_server((LOOPBACK, port))
    except OSError as error:
        raise Unavailable(f"port {port} of {LOOPBACK} cannot be used ({os.strerror(error.errno or 0)})") from None
    # Accepted sockets inherit it. asyncio sets it for sockets with an explicit protocol only, and each response on a
    # kept connection then waits 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


@contextmanager
def served(app: ASGIApp, port: int = 0, ws: str = "none", **tls: Any) -> Iterator[str]:
    """Serves an app in a thread; its address. `tls` is uvicorn's: ssl_certfile, ssl_keyfile. Raises Unavailable."""
    with listening(port) as listener:
        config = uvicorn.Config(app, log_config=None, access_log=False, ws=ws, lifespan="off", loop="asyncio", **tls)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + START_LIMIT
        while not server.started:
            assert time.monotonic() < deadline, "the provider does not start"
            time.sleep(0.005)
        try:
            yield f"{'https' if config.is_ssl else 'http'}://{LOOPBACK}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = server.force_exit = True
            thread.join(10)
