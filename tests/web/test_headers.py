"""What every answer says about security, and what no page has: anything that a strict policy would have to allow."""

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser

import httpx
import pytest
from starlette.routing import Route

from app.routes import all_routes
from app.settings import Settings
from app.web.templating import TEMPLATES
from tests.helpers.service import ROOT, Running, running
from tests.helpers.sockets import PATIENCE

EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
ANSWERS = [
    ("GET", "/", {"Accept": "text/html"}, 200),
    ("GET", "/", {"Accept": "application/json"}, 200),
    ("HEAD", "/", {}, 200),
    ("GET", "/static/style.css", {}, 200),
    ("GET", "/api/visits", {}, 200),
    ("GET", "/live", {}, 200),
    ("GET", "/events/visits", {}, 200),
    ("GET", "/nowhere", {"Accept": "text/html"}, 404),
    ("GET", "/nowhere", {"Accept": "application/json"}, 404),
    ("GET", "/static/nothing.css", {}, 404),
    ("GET", "/metrics", {}, 404),
    ("POST", "/", {}, 405),
    ("POST", "/language", {}, 400),
    ("GET", "/", {"Host": "a/b"}, 400),
]


@pytest.fixture(scope="module")
def browser(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=PATIENCE) as client:
        yield client


@pytest.mark.parametrize(("method", "path", "headers", "status"), ANSWERS)
def test_every_kind_of_answer_has_the_security_headers(
    method: str, path: str, headers: dict[str, str], status: int, browser: httpx.Client
) -> None:
    with browser.stream(method, path, headers=headers) as answer:
        assert answer.status_code == status
        for name, value in EVERYWHERE.items():
            assert answer.headers.get_list(name) == [value]
        assert len(answer.headers.get_list("content-security-policy")) == 1
        assert len(answer.headers.get_list("x-request-id")) == 1
        assert "server" not in answer.headers


@pytest.mark.parametrize(("body", "status"), [(b"locale=en", 303), (b"a" * 1_048_577, 413)])
def test_a_redirect_and_a_refused_body_have_them_too(body: bytes, status: int, browser: httpx.Client) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = browser.post("/language", content=body, headers=kind)
    assert answer.status_code == status
    assert EVERYWHERE.items() <= dict(answer.headers).items()


def test_every_response_has_a_unique_request_id(browser: httpx.Client) -> None:
    names = {browser.get("/live").headers["x-request-id"] for _ in range(50)}
    assert len(names) == 50
    assert all(re.fullmatch("[0-9a-f]{16}", name) for name in names)


def test_request_id_of_the_client_is_ignored(browser: httpx.Client) -> None:
    assert browser.get("/live", headers={"X-Request-ID": "chosen"}).headers["x-request-id"] != "chosen"


def test_the_content_security_policy_allows_nothing_by_default(browser: httpx.Client) -> None:
    policy = dict(
        part.strip().partition(" ")[::2] for part in browser.get("/").headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in str(policy)


@pytest.mark.parametrize(("scheme", "expected"), [("http", None), ("https", "max-age=31536000")])
async def test_hsts_is_sent_only_over_https(scheme: str, expected: str | None, service: Running) -> None:
    async with service.another_client(base_url=f"{scheme}://tallygate.test") as client:
        for path in ("/", "/nowhere"):
            answer = await client.get(path)
            assert answer.headers.get("strict-transport-security") == expected


class Inline(HTMLParser):
    """Collects what a page would need unsafe-inline for, and what it loads from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        self._script = tag == "script"
        if tag == "style" or (tag == "script" and "src" not in names):
            self.found.append(f"<{tag}>")
        self.found += [f"{tag} {name}" for name in names if name == "style" or name.startswith("on")]
        for name in ("src", "href", "action"):
            value = (names.get(name) or "").strip().lower()
            if value.startswith(("javascript:", "data:", "//")) or (tag in {"script", "link"} and "://" in value):
                self.found.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        if self._script and data.strip():
            self.found.append("script with text")

    def handle_endtag(self, tag: str) -> None:
        self._script = False


def inline_in(html: str) -> list[str]:
    parser = Inline()
    parser.feed(html)
    return parser.found


def test_inline_code_would_be_found() -> None:
    html = "<style>a</style><p onclick=x style=y><script>1</script><script src=//cdn></script><a href=javascript:x>"
    assert len(inline_in(html)) == 7


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_pages_have_no_inline_code_or_foreign_files(
    language: str, make_settings: Callable[..., Settings]
) -> None:
    paths = [
        route.path
        for route in all_routes()
        if isinstance(route, Route) and "GET" in (route.methods or ()) and "{" not in route.path
    ]
    pages = 0
    async with running(make_settings()) as service:
        for path in [path for path in paths if not path.startswith("/events/")] + ["/nowhere"]:
            answer = await service.client.get(path, headers={"Accept": "text/html", "Accept-Language": language})
            if answer.headers.get("content-type", "").startswith("text/html"):
                pages += 1
                assert (path, inline_in(answer.text)) == (path, [])
                assert f'<html lang="{language}">' in answer.text
    assert pages >= 2


@pytest.mark.parametrize("template", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.name)
def test_templates_have_no_inline_code(template: object) -> None:
    assert inline_in(str(template.read_text("utf-8"))) == []  # type: ignore[attr-defined]  # a Path: for its id


def test_scripts_and_styles_load_from_this_site() -> None:
    for file in (ROOT / "app" / "static").rglob("*"):
        if file.suffix in {".js", ".css"}:
            assert not re.search(r"https?://|eval\(|@import|innerHTML|document\.write", file.read_text("utf-8")), file
