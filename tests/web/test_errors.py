"""What a visitor is told when something cannot be done: a page, or a problem document (RFC 9457)."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from app.routes import all_routes
from app.settings import Settings
from app.web.errors import Unavailable
from tests.helpers.logs import lines_of
from tests.helpers.service import Running, running

PAGE = {"Accept": "text/html"}
JSON = {"Accept": "application/json"}
SECRET = "hunter2-hunter2"


async def test_unknown_path_is_a_page(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nowhere", headers=PAGE)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert "<h1>Page not found</h1>" in answer.text
    assert f"<code>{answer.headers['x-request-id']}</code>" in answer.text


async def test_unknown_path_is_a_problem_document(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nowhere", headers=JSON)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Page not found",
        "status": 404,
        "detail": "This page does not exist.",
        "request_id": answer.headers["x-request-id"],
    }


@pytest.mark.parametrize(
    ("path", "headers", "kind"),
    [
        ("/nowhere", {}, "text/html"),
        ("/nowhere", {"Accept": "*/*"}, "text/html"),
        ("/nowhere", {"Accept": "text/html,application/json;q=0.9"}, "text/html"),
        ("/nowhere", {"Accept": "application/json"}, "application/problem+json"),
        ("/nowhere", {"Accept": "APPLICATION/JSON"}, "application/problem+json"),
        ("/nowhere", {"Accept": "*/*", "Sec-Fetch-Mode": "cors"}, "application/problem+json"),
        ("/nowhere", {"Accept": "text/html", "Sec-Fetch-Mode": "cors"}, "text/html"),
        ("/nowhere", {"Accept": "*/*", "Sec-Fetch-Mode": "navigate"}, "text/html"),
        ("/api/nowhere", {"Accept": "text/html"}, "application/problem+json"),
    ],
)
async def test_accept_header_decides_page_or_problem(
    path: str, headers: dict[str, str], kind: str, client: httpx.AsyncClient
) -> None:
    answer = await client.get(path, headers=headers)
    assert answer.headers["content-type"].split(";")[0] == kind


@pytest.mark.parametrize("headers", [PAGE, JSON])
async def test_error_page_is_in_the_readers_language(headers: dict[str, str], client: httpx.AsyncClient) -> None:
    answer = await client.get("/nowhere", headers=headers | {"Accept-Language": "zh-CN"})
    assert "页面不存在" in answer.text
    assert "此页面不存在。" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "/api/visits", "GET, HEAD"),
        ("OPTIONS", "/live", "GET, HEAD"),
        ("GET", "/language", "POST"),
        ("PUT", "/static/style.css", "GET, HEAD"),
    ],
)
async def test_wrong_method_gets_allow(method: str, path: str, allowed: str, client: httpx.AsyncClient) -> None:
    answer = await client.request(method, path, headers=JSON)
    assert answer.status_code == 405
    assert answer.json()["title"] == "Method not allowed"
    assert sorted(answer.headers["allow"].split(", ")) == allowed.split(", ")


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("GET", "/api/account", {}),
        ("POST", "/api/session", {"json": {"username": "bob", "password": "no"}}),
        ("POST", "/sign-in", {"data": {"username": "bob", "password": "no"}}),
    ],
)
async def test_every_401_names_a_way_to_authenticate(
    method: str, path: str, options: dict[str, Any], client: httpx.AsyncClient
) -> None:
    answer = await client.request(method, path, **options)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_a_bad_field_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.post("/language", data={"locale": "tlh"}, headers=JSON)
    assert answer.status_code == 400
    problem = answer.json()
    assert (problem["title"], problem["field"]) == ("Bad request", "locale")
    assert problem["detail"] == "locale: must be one of en, zh"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"--b\r\nnonsense"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'),
        ("application/x-www-form-urlencoded", b"&".join(b"field%d=1" % n for n in range(50))),
        ("application/x-www-form-urlencoded", b"locale=%ff%fe"),
        ("application/json", b'{"locale": "zh"}'),
        ("text/plain", b""),
    ],
)
async def test_a_bad_form_is_a_bad_request(kind: str, body: bytes, client: httpx.AsyncClient) -> None:
    answer = await client.post("/language", content=body, headers=JSON | {"Content-Type": kind})
    assert answer.status_code == 400
    assert "field" in answer.json()


@pytest.fixture
async def small(make_settings: Callable[..., Settings]) -> AsyncIterator[Running]:
    """A service that takes no more than a kilobyte."""
    async with running(make_settings(max_body_bytes=1024)) as service:
        yield service


async def in_pieces(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 100):
        yield b"a" * 100


@pytest.mark.parametrize(("method", "path"), [("POST", "/language"), ("GET", "/"), ("POST", "/nowhere")])
async def test_a_body_that_says_it_is_too_large_is_refused(method: str, path: str, small: Running) -> None:
    answer = await small.client.request(method, path, content=b"a" * 1025, headers=JSON)
    assert (answer.status_code, answer.json()["title"]) == (413, "Request too large")


@pytest.mark.parametrize("digit", [b"0", b"9"])
async def test_a_length_of_thousands_of_digits_is_too_large(digit: bytes, client: httpx.AsyncClient) -> None:
    answer = await client.get("/live", headers={b"Content-Length": digit * 5000})
    assert answer.status_code == 413


async def test_a_body_that_does_not_say_so_is_refused_too(small: Running) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await small.client.post("/language", content=in_pieces(2000), headers=JSON | kind)
    assert (answer.status_code, answer.json()["title"]) == (413, "Request too large")


async def test_a_body_just_within_the_limit_is_read(small: Running) -> None:
    form = b"locale=zh&next=/" + b"a" * (1024 - 16)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await small.client.post("/language", content=form, headers=kind)).status_code == 303


async def broken(request: Request) -> Response:
    raise RuntimeError(f"cannot reach redis://user:{SECRET}@redis.internal")


async def away(request: Request) -> Response:
    raise Unavailable(retry_after=7)


async def late(request: Request) -> Response:
    async def pieces() -> AsyncIterator[str]:
        yield "the beginning"
        raise RuntimeError("too late for another answer")

    return StreamingResponse(pieces())


@pytest.fixture
async def faulty(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Running]:
    """The service with pages that fail; its log is service.log."""
    routes = [Route("/broken", broken), Route("/away", away), Route("/late", late)]
    monkeypatch.setattr("app.main.all_routes", lambda *_: [*all_routes(), *routes])
    async with running(make_settings(log_file=tmp_path / "service.log")) as service:
        yield service


@pytest.mark.parametrize("headers", [PAGE, JSON])
async def test_internal_error_shows_no_details(headers: dict[str, str], faulty: Running) -> None:
    answer = await faulty.client.get("/broken", headers=headers)
    assert answer.status_code == 500
    assert "Something went wrong" in answer.text
    assert answer.headers["x-request-id"] in answer.text
    for inside in ("RuntimeError", "redis", SECRET, "Traceback", ".py"):
        assert inside not in answer.text


async def test_an_error_of_ours_is_logged_with_the_reference_that_the_visitor_has(
    faulty: Running, tmp_path: Path
) -> None:
    reference = (await faulty.client.get("/broken?token=hunter2", headers=JSON)).json()["request_id"]
    (line,) = [line for line in lines_of(tmp_path / "service.log") if line["event"] == "request failed"]
    assert (line["request_id"], line["path"], line["level"]) == (reference, "/broken", "error")
    assert "RuntimeError: cannot reach redis://user:[redacted]@redis.internal" in line["exception"]
    assert "hunter2" not in (tmp_path / "service.log").read_text()


async def test_unavailable_response_has_retry_after(faulty: Running) -> None:
    answer = await faulty.client.get("/away", headers=JSON)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")


async def test_error_within_a_response_closes_it_and_is_logged(faulty: Running, tmp_path: Path) -> None:
    answer = await faulty.client.get("/late")
    assert (answer.status_code, answer.text) == (200, "the beginning")
    (line,) = [line for line in lines_of(tmp_path / "service.log") if line["event"] == "request failed"]
    assert (line["request_id"], line["path"]) == (answer.headers["x-request-id"], "/late")
