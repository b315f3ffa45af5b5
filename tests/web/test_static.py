"""Stylesheets, scripts and pictures."""

import httpx
import pytest

from app.web.static import STATIC, versions
from tests.helpers.sockets import exchange

FOR_EVER = "public, max-age=31536000, immutable"


@pytest.mark.parametrize("name", sorted(versions()))
async def test_a_file_is_served_under_its_version_for_ever(name: str, client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/static/{name}?v={versions()[name]}")
    assert answer.status_code == 200
    assert answer.content == (STATIC / name).read_bytes()
    assert answer.headers["cache-control"] == FOR_EVER


@pytest.mark.parametrize(
    ("name", "kind"),
    [("style.css", "text/css"), ("live.js", "text/javascript"), ("logo.svg", "image/svg+xml")],
)
async def test_static_file_has_its_content_type(name: str, kind: str, client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/static/{name}")
    assert answer.headers["content-type"].split(";")[0] == kind


@pytest.mark.parametrize("query", ["", "?v=", "?v=000000000000", "?w=1"])
async def test_other_version_is_revalidated(query: str, client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/static/style.css{query}")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
    again = await client.get(f"/static/style.css{query}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_the_pages_name_files_by_their_version(client: httpx.AsyncClient) -> None:
    page = (await client.get("/")).text
    for name in ("style.css", "live.js", "favicon.svg", "logo.svg"):
        assert f'/static/{name}?v={versions()[name]}"' in page


@pytest.mark.parametrize(
    "path",
    [
        "nothing.css",
        "",
        "..%2fmain.py",
        "%2e%2e/main.py",
        "..%5cmain.py",
        "%2fetc%2fpasswd",
        "/etc/passwd",
        "style.css%00",
        "%00",
        "a" * 5000,
    ],
)
async def test_other_static_paths_are_not_found(path: str, client: httpx.AsyncClient) -> None:
    assert (await client.get(f"/static/{path}")).status_code == 404


async def test_static_folder_is_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.get("/static")).status_code == 404


@pytest.mark.parametrize("path", ["../main.py", "../../README.md", "..", ".", "./../static/../main.py", "..//main.py"])
def test_path_traversal_is_refused(path: str, url: str) -> None:
    request = f"GET /static/{path} HTTP/1.1\r\nHost: tallygate.test\r\nConnection: close\r\n\r\n"
    assert exchange(url, request.encode()).startswith(b"HTTP/1.1 404 ")
