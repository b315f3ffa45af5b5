"""Files that programs look for at fixed paths, and the operator's logo."""

import asyncio
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.web.errors import NotFound
from app.web.lifespan import WebState
from app.web.static import STATIC

ROBOTS = """\
User-agent: *
Disallow: /account
Disallow: /admin
Disallow: /api/
Disallow: /oauth
Disallow: /reset
Disallow: /sign-
Disallow: /setup
"""
A_DAY = {"Cache-Control": "public, max-age=86400"}
MAX_LOGO_BYTES = 256 * 1024
LOGO_TYPES = {
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
}


async def robots(request: Request[WebState]) -> Response:
    return PlainTextResponse(ROBOTS, headers=A_DAY)


async def favicon(request: Request[WebState]) -> Response:
    """`GET /favicon.ico`: for programs that do not read the page's `<link rel=icon>`."""
    return FileResponse(STATIC / "favicon.svg", media_type="image/svg+xml", headers=A_DAY)


async def logo(request: Request[WebState]) -> Response:
    """`GET /logo`: the file of the setting `logo_file`."""
    file = request.state["settings"].logo_file
    if file is None or not await asyncio.to_thread(_is_picture, file):
        raise NotFound
    return FileResponse(file, media_type=LOGO_TYPES[file.suffix.lower()], headers={"Cache-Control": "max-age=3600"})


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in LOGO_TYPES and file.is_file() and file.stat().st_size <= MAX_LOGO_BYTES


routes = [
    Route("/robots.txt", robots, methods=["GET"]),
    Route("/favicon.ico", favicon, methods=["GET"]),
    Route("/logo", logo, methods=["GET"]),
]
