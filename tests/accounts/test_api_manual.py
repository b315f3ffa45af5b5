"""The API's page: authentication, a curl line that works, response shapes and errors for each operation."""

import re
import shlex
from html import unescape

import httpx

from tests.helpers.api import problem, program, token_for
from tests.helpers.service import Running

OPERATION = re.compile(
    r'<span class="method \w+">(\w+)</span>\s*<code>([^<]+)</code>(.*?)(?=<span class="method|</main)', re.DOTALL
)


async def operations(client: httpx.AsyncClient) -> dict[tuple[str, str], str]:
    """What the page says of each (method, path)."""
    page = (await client.get("/api")).text
    return {(found[1], unescape(found[2])): unescape(found[3]) for found in OPERATION.finditer(page)}


async def test_each_operation_shows_a_curl_line_shapes_and_errors(client: httpx.AsyncClient) -> None:
    told = await operations(client)
    described = (await client.get("/api/openapi.json")).json()["paths"]
    expected = {(method.upper(), path) for path, each in described.items() for method in each}
    assert told.keys() == expected | {("GET", "/"), ("GET", "/events/visits")}
    for (method, path), text in told.items():
        assert "<code>curl " in text, path
        if not path.startswith("/api/"):
            continue
        for status, response in described[path][method.lower()]["responses"].items():
            assert f"<dt><code>{status}</code></dt>" in text, (path, status)
            has_shape = status.startswith("2") and "application/json" in response.get("content", {})
            assert not has_shape or "JSON Schema" in text, (path, status)


async def test_each_curl_line_is_a_request_that_the_service_understands(
    alice: httpx.AsyncClient, service: Running
) -> None:
    client = program(service, await token_for(alice))
    for (method, path), text in (await operations(alice)).items():
        if path.startswith("/events/") or path == "/api/account/export":
            continue
        words = shlex.split(text.partition("<code>")[2].partition("</code>")[0])
        assert words[0] == "curl"
        given = dict(zip(words[1:-1:2], words[2:-1:2], strict=True))
        assert (given.get("-X", "GET"), words[-1]) == (method, f"$ORIGIN{path}")
        name, _, kind = given.get("-H", "").partition(": ")
        headers = {"Content-Type": kind} if name == "Content-Type" else {}
        answer = await client.request(method, path, content=given.get("-d"), headers=headers)
        assert answer.status_code < 500, (path, answer.text)
        assert answer.status_code != 415, (path, answer.text)
        assert not ("{" not in path and answer.status_code == 404), path


async def test_authentication_is_explained_and_a_wrong_token_has_its_own_sentence(
    client: httpx.AsyncClient, service: Running
) -> None:
    page = (await client.get("/api")).text
    assert "<h2>Authentication</h2>" in page
    assert "Authorization: Bearer tgt_..." in page
    wrong = program(service, "tgt_" + "x" * 43)
    for method, path in (("GET", "/api/account"), ("POST", "/api/sites"), ("GET", "/api/users")):
        answer = await wrong.request(method, path)
        told = problem(answer, 401)
        assert told["detail"] == "The API token is unknown, revoked or expired, or its account is disabled."
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_body_that_is_no_plain_json_has_its_own_type(client: httpx.AsyncClient) -> None:
    assert (
        "-H 'Content-Type: application/merge-patch+json' -d" in (await operations(client))["PATCH", "/api/config/{ns}"]
    )
