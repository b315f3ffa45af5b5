"""A site of somebody's, with pages that report hits."""

import functools
import http.server
import threading
from pathlib import Path
from typing import Any


class Web:
    """A site of somebody's: files at 127.0.0.1, which is another site than localhost, where the service is."""

    def __init__(self, folder: Path, counter: str) -> None:
        self.folder = folder
        self.counter = counter
        handler = functools.partial(Quiet, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def page(self, name: str, html: str) -> str:
        (self.folder / name).write_text(f'<!doctype html><meta charset="utf-8"><title>{name}</title>{html}')
        return f"{self.url}/{name}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Says nothing."""
