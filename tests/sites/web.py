"""A site of somebody's, with pages that report hits."""

import functools
import http.server
import threading
from pathlib import Path
from typing import Any

from app.sites.models import bucket_of
from app.store import keys
from tests.helpers.valkey import Valkey


class Web:
    """A site of somebody's: files at 127.0.0.1, which is another site than localhost, where the service is."""

    def __init__(self, folder: Path, counter: str, site: str, server: Valkey) -> None:
        """`counter` is the service, `site` the id of this site, and `server` where its hits are counted."""
        self.folder, self.counter, self.site, self.server = folder, counter, site, server
        folder.mkdir()
        handler = functools.partial(Quiet, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def page(self, name: str, html: str) -> str:
        (self.folder / name).write_text(f'<!doctype html><meta charset="utf-8"><title>{name}</title>{html}')
        return f"{self.url}/{name}"

    def key(self, part: str) -> str:
        """The key of a part of the site's counts."""
        return keys.site_counts(bucket_of(self.site), self.site, part)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Says nothing."""
