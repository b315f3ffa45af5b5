"""The OpenAPI document: true to the routes, valid, and nothing that it allows or forbids brings a surprise."""

import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from starlette.routing import Mount, Route

from app.routes import all_routes
from tests.helpers.cast import PASSWORD
from tests.helpers.service import process
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey
from tests.helpers.waiting import until

SECONDS = 600.0
"""For thousands of requests, which take 20 where nothing else runs."""


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/api/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    described: dict[str, Any] = answer.json()
    return described


async def test_openapi_describes_every_route(document: dict[str, Any]) -> None:
    there = {
        (method, route.path)
        for route in all_routes()
        if isinstance(route, (Route, Mount)) and route.path.startswith("/api/")
        for method in (getattr(route, "methods", None) or {"any"}) - {"HEAD", "OPTIONS"}
    }
    described = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    assert described == there
    assert len(described) > 10


async def test_openapi_document_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    schemathesis.openapi.from_dict(document).validate()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    for operation in operations:
        assert ("401" in operation["responses"]) >= ("security" in operation)


async def test_openapi_marks_operations_that_need_authentication(
    document: dict[str, Any], client: httpx.AsyncClient
) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answer = await client.request(method, path.replace("{id}", "x"), json={} if method == "post" else None)
            told = answer.status_code == 401 and "sign_in_url" in answer.json()
            assert told == ("security" in operation), (method, path)


async def test_there_is_a_page_to_read_it(
    document: dict[str, Any], client: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    page = await client.get("/api")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    text = unescape(page.text)
    for path, operations in document["paths"].items():
        assert f"<code>{path}</code>" in text
        for operation in operations.values():
            assert operation["summary"] in text
    assert 'href="/sign-in"' in page.text
    assert ">bob<" in (await bob.get("/api")).text


@pytest.fixture
def administered(server: Valkey, tmp_path: Path) -> dict[str, str]:
    """The settings of a service that alice administers."""
    settings = {"redis_url": server.url, "port": "0"}
    with process(tmp_path, **settings) as service, httpx.Client(base_url=service.url(), timeout=PATIENCE) as client:
        until(lambda: "token=" in service.output)
        token = service.output.partition("token=")[2].split()[0]
        client.post("/setup", data={"token": token, "username": "alice", "password": PASSWORD})
    return settings


CONFIGURATION = """
[[operations]]
include-path-regex = "^/api/(account$|audit|services|config|webhooks|users|clients|groups|invitations)"
checks.positive_data_acceptance.enabled = false  # host names, time zones, times, names: no JSON Schema says all of them
[[operations]]
include-path-regex = "^/api/(session/passkey|wechat)"
checks.positive_data_acceptance.enabled = false  # integers of more than 64 bits in free JSON are refused
[[operations]]
include-path-regex = "^/api/sites/[^/]+/(stats|top|values|imports)"
# `from` is not after `to`, visitors are at most visits, no hours of a page, a file has rows: a JSON Schema of single
# values cannot say so
checks.positive_data_acceptance.enabled = false
"""


@pytest.mark.slow
@pytest.mark.parametrize("who", ["nobody", "program", "person"])
def test_schemathesis_finds_nothing(administered: dict[str, str], tmp_path: Path, who: str) -> None:
    with process(tmp_path, **administered) as service, httpx.Client(base_url=service.url(), timeout=PATIENCE) as client:
        signed_in = client.post("/api/session", json={"username": "alice", "password": PASSWORD})
        assert signed_in.status_code == 200
        token = client.post("/api/account/tokens", json={"name": "schemathesis"}).json()["token"]
        options = {
            "nobody": ["--phases", "coverage"],
            "program": ["-H", f"Authorization: Bearer {token}"],
            # a person who signed out would find out no more
            "person": ["-H", f"Cookie: tallygate={client.cookies['tallygate']}", "--exclude-path", "/api/session"],
        }
        (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
        found = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "run", f"{service.url()}/api/openapi.json",
                "--no-color", "--max-examples", "8", "--mode", "all", "--generation-database", "none", "--seed", "1",
                *options[who],
            ],
            cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        assert found.returncode == 0, found.stdout + found.stderr
        assert "passed" in found.stdout
