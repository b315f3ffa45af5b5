"""Form fields and JSON members: each is what it has to be, or a 400 says which one is not."""

import json
from typing import Any

import httpx
import pytest

from tests.helpers.service import Running

SIGN_IN = "/sign-in"
BOB = b'--x\r\nContent-Disposition: form-data; name="username"\r\n\r\nbob\r\n--x--\r\n'
API = "/api/session"
JSON = {"Content-Type": "application/json"}
GOOD = {"username": "bob", "password": "x"}


async def sent(client: httpx.AsyncClient, path: str, body: bytes, kind: str) -> tuple[int, str | None]:
    """(the status, the field that a 400 names)."""
    headers = {"Content-Type": kind} if kind else {}
    answer = await client.post(path, content=body, headers=headers | {"Accept": "application/json"})
    return answer.status_code, answer.json().get("field")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"), (b"{", "body"), (b"\xff", "body"), (b"[]", "body"), (b"null", "body"), (b'"x"', "body"),
        (b"[" * 5000, "body"), (b'{"a":' * 5000, "body"), (b'{"username":"\\ud800","password":"x"}', "body"),
        (b"{}", "username"), (b'{"username":"bob"}', "password"), (b'{"username":1,"password":"x"}', "username"),
        (b'{"username":"bob","password":null}', "password"), (b'{"username":["bob"],"password":"x"}', "username"),
        (b'{"username":{},"password":"x"}', "username"), (b'{"username":true,"password":"x"}', "username"),
        (b'{"username":"bob","password":"x","admin":true}', "admin"),
        (json.dumps(GOOD | {"password": "x" * 2049}).encode(), "password"),
        (json.dumps(GOOD | {"f" * 5000: 1}).encode(), "f" * 64),
        (json.dumps(GOOD).encode("utf-16"), "body"),
    ],
)  # fmt: skip
async def test_bad_json_names_the_field(client: httpx.AsyncClient, body: bytes, field: str) -> None:
    assert await sent(client, API, body, "application/json") == (400, field)


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp",
     "text/json", "application/json2; application/json"],
)  # fmt: skip
async def test_simple_content_types_are_refused_as_json(client: httpx.AsyncClient, kind: str) -> None:
    assert await sent(client, API, json.dumps(GOOD).encode(), kind) == (400, "Content-Type")


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON", "application/json; charset=utf-8"])
async def test_json_content_types_are_accepted(client: httpx.AsyncClient, kind: str) -> None:
    assert await sent(client, API, json.dumps(GOOD).encode(), kind) == (401, None)


@pytest.mark.parametrize(
    ("body", "kind", "status", "field"),
    [
        (b"", "application/x-www-form-urlencoded", 401, None),
        (b"", "", 401, None),
        (b"username=bob&password=x", "application/x-www-form-urlencoded", 401, None),
        (b"username=%ff%00&password=%", "application/x-www-form-urlencoded", 401, None),
        (b"username=" + b"x" * 2049, "application/x-www-form-urlencoded", 400, "username"),
        (b"password=" + b"x" * 2049, "application/x-www-form-urlencoded", 400, "password"),
        (b"next=" + b"x" * 8193, "application/x-www-form-urlencoded", 400, "next"),
        (b"&".join(b"f%d=1" % number for number in range(22)), "application/x-www-form-urlencoded", 400, "body"),
        (b"x", "multipart/form-data", 400, "body"),
        (b"x", "multipart/form-data; boundary=y", 400, "body"),
        (b'--x\r\nContent-Disposition: form-data; name="username"; filename="a"\r\n\r\nb\r\n--x--\r\n',
         "multipart/form-data; boundary=x", 400, "body"),
        (BOB, "multipart/form-data; boundary=x", 401, None),
        (BOB, "multipart/form-data; boundary=x; charset=UTF-8", 401, None),
        (BOB, "multipart/form-data; boundary=x; charset=undefined", 400, "Content-Type"),
        (BOB, "multipart/form-data; boundary=x; charset=unicode_escape", 400, "Content-Type"),
    ],
)  # fmt: skip
async def test_bad_form_names_the_field(
    client: httpx.AsyncClient, body: bytes, kind: str, status: int, field: str | None
) -> None:
    answer = await client.post(SIGN_IN, content=body, headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == status
    if field is not None:
        asked = {"Accept": "application/json", "Content-Type": kind}
        assert (await client.post(SIGN_IN, content=body, headers=asked)).json()["field"] == field


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"name": "a"}, 201), ({"name": "a", "days": 0}, 201), ({"name": "a", "days": None}, 201),
        ({"name": "a", "days": True}, 400), ({"name": "a", "days": "1"}, 400), ({"name": "a", "days": 1.0}, 400),
        ({"name": "a", "days": 2**53 + 1}, 400), ({"name": "a", "days": 10**30}, 400), ({"name": "a", "days": -1}, 400),
    ],
)  # fmt: skip
async def test_optional_member_is_checked_if_present(
    service: Running, signed_in_bob: httpx.AsyncClient, members: dict[str, Any], status: int
) -> None:
    answer = await signed_in_bob.post("/api/account/tokens", json=members)
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["field"] == "days"
