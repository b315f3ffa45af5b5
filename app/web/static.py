"""Static files with versioned URLs."""

import hashlib
from functools import cache
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).parent.parent / "static"


@cache
def versions() -> dict[str, str]:
    """Each file's version (a hash of its content), by its path below `static/`; not to be changed."""
    return {
        file.relative_to(STATIC).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()[:12]
        for file in STATIC.rglob("*")
        if file.is_file()
    }


class Static(StaticFiles):
    """A URL with the file's present version is immutable; any other URL is revalidated.

    So is a newer version: during a rolling update a new page may ask an old server for its files.
    """

    def __init__(self) -> None:
        super().__init__(directory=STATIC)
        self._versions = versions()

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        present = scope["query_string"].decode("latin-1") == f"v={self._versions.get(path)}"
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if present else "no-cache"
        return response
