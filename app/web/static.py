"""Static files, and the versions in their URLs."""

import hashlib
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).parent.parent / "static"


def versions() -> dict[str, str]:
    """Each file's version, by its path below `static/`: it changes when the content does."""
    return {
        file.relative_to(STATIC).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()[:12]
        for file in STATIC.rglob("*")
        if file.is_file()
    }


class Static(StaticFiles):
    """A URL with the file's present version may be kept for ever; any other has to be asked about again.

    Any other includes a newer version: while one is rolled out, the new page may ask an old server for its files.
    """

    def __init__(self) -> None:
        super().__init__(directory=STATIC)
        self._versions = versions()

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        present = scope["query_string"].decode("latin-1") == f"v={self._versions.get(path)}"
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if present else "no-cache"
        return response
