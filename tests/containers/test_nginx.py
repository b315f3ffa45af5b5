"""The profile `nginx`: a static folder, and the service behind it as if nothing stood between."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.containers.engine import AS_JSON, docker, lines, until
from tests.containers.project import Project, project

NGINX = "nginx:1.30.0"


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("static")
    (folder / "hello.txt").write_text("from the folder\n", "utf-8")
    folder.chmod(0o755)
    for parent in folder.parents[:2]:
        parent.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def compose(image: str, static: Path) -> Iterator[Project]:
    with project(image, "nginx", STATIC_FOLDER=str(static)) as compose:
        compose.up()
        yield compose


def test_a_file_of_the_static_folder_is_served(compose: Project) -> None:
    answer = httpx.get(f"{compose.nginx.url}/hello.txt", verify=False)
    assert answer.text == "from the folder\n"
    assert "x-request-id" not in answer.headers, "the service was not asked"


def test_everything_else_is_the_services(compose: Project) -> None:
    number = compose.nginx.visit()
    assert compose.app.visit() == number + 1
    assert httpx.get(f"{compose.nginx.url}/no-such-page", verify=False).headers["x-request-id"]


def test_the_static_folder_cannot_be_written(compose: Project, static: Path) -> None:
    written = compose.nginx.exec("touch", "/srv/static/x", check=False)
    assert "Read-only file system" in written.stderr
    assert [path.name for path in static.iterdir()] == ["hello.txt"]


def test_event_stream_is_not_buffered(compose: Project) -> None:
    with httpx.stream("GET", f"{compose.nginx.url}/events/visits", timeout=10, verify=False) as stream:
        events = (int(found[1]) for line in stream.iter_lines() if (found := re.search(r'"visits": (\d+)', line)))
        before = next(events)
        number = compose.nginx.visit()
        assert number == before + 1
        assert next(events) == number


def client_of(path: str, compose: Project) -> str:
    """Who asked for a path, as the service's access line has it."""
    seen: list[str] = []

    def found() -> bool:
        seen[:] = [line["client"] for line in lines(compose.log_of("app")) if line.get("path") == path]
        return bool(seen)

    until(found, f"{path} is in the access log", pause=0.2)
    (client,) = seen
    return client


def test_client_address_comes_from_nginx_only(compose: Project) -> None:
    ask = 'hostname -i; curl -sS --output /dev/null --header "X-Forwarded-For: 203.0.113.9" http://nginx:8080/through'
    address = docker("run", "--rm", "--network", f"{compose.name}_front", NGINX, "sh", "-c", ask)
    assert client_of("/through", compose) == address


def test_direct_clients_are_not_trusted_proxies(compose: Project) -> None:
    httpx.get(f"{compose.app.url}/past", headers={"X-Forwarded-For": "203.0.113.9"}, verify=False)
    assert client_of("/past", compose) != "203.0.113.9"


def test_the_service_knows_its_public_name_and_port(compose: Project) -> None:
    """A form's post from the page itself is of the same origin: Host, with its port, and scheme came through."""
    url = compose.nginx.url
    same, other = (
        httpx.post(f"{url}/language", headers={"Origin": origin}, data={"locale": "en", "next": "/"}, verify=False)
        for origin in (url, "http://evil.example")
    )
    assert (same.status_code, other.status_code) == (303, 403)


def test_too_large_body_is_refused(compose: Project) -> None:
    answer = httpx.post(f"{compose.nginx.url}/language", content=b"x" * 1_100_000, headers=AS_JSON, verify=False)
    assert answer.status_code == 413


def test_nginx_runs_with_few_rights(compose: Project) -> None:
    assert compose.nginx.exec("id", "-u").stdout.strip() == "101"
    status = compose.nginx.exec("cat", "/proc/1/status").stdout
    assert re.search(r"CapEff:\s+0+\n", status)
