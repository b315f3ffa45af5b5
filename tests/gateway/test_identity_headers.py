"""The identity that the application gets: encoded, and small enough for nginx."""

import base64
from typing import Any
from urllib.parse import unquote

import httpx
import orjson
import pytest

from tests.gateway.conftest import Browser
from tests.helpers.cast import Cast
from tests.helpers.service import Running

NGINX_BUFFER = 4096
"""Bytes of `proxy_buffer_size`, where nobody has changed it."""
DATE = len("date: Sun, 29 Nov 2026 07:31:24 GMT\r\n")
FIELDS = ("name", "preferred_username", "email", "groups")
MANY = tuple(f"{'g' * 60}-{number:02}" for number in range(100))
ADDRESS = f"{'a' * 60}@{'b' * 60}.{'c' * 60}.{'d' * 60}.example"


def claims_of(answer: httpx.Response) -> dict[str, Any]:
    payload = answer.headers["x-tallygate-identity"].split(".")[1]
    claims: dict[str, Any] = orjson.loads(base64.urlsafe_b64decode(payload + "==="))
    return claims


def size_of(answer: httpx.Response) -> int:
    return len("HTTP/1.1 200 OK\r\n\r\n") + DATE + sum(len(name) + len(value) + 4 for name, value in answer.headers.raw)


@pytest.mark.parametrize(
    ("name", "display_name", "email", "groups", "away"),
    [
        ("bob", "Bob, 100% Lee", "", ("staff",), set()),
        ("鲍勃", "李 鲍勃", "bob@example.com", ("员工", "a:b"), set()),
        ("bob", "Bob Lee", ADDRESS, MANY, {"groups"}),
        ("名" * 64, "示" * 100, "", (), {*FIELDS} - {"email"}),
        ("\U00020000" * 64, "\U00020000" * 100, ADDRESS, MANY, {*FIELDS}),
    ],
    ids=["signs", "Chinese", "many groups", "long names", "all of it as long as can be"],
)
async def test_any_identity_fits_into_nginxs_buffer_and_decodes_to_itself(
    name: str, display_name: str, email: str, groups: tuple[str, ...], away: set[str],
    browser: Browser, service: Running, cast: Cast,
) -> None:  # fmt: skip
    users, bob = service.state["users"], cast.bob.id
    if name != "bob":
        await service.state["accounts"].rename(bob, name)
    await users.set_display_name(bob, display_name)
    await users.set_email(bob, email, verified=True)
    for group in groups:
        await users.create_group(group)
    await users.set_groups(bob, groups)
    await browser.sign_in(name)
    await browser.enter()
    answer = await browser.verify()
    assert answer.status_code == 200
    assert size_of(answer) <= NGINX_BUFFER
    got = {header: unquote(answer.headers[f"remote-{header}"]) for header in ("user", "name", "email")}
    assert got["user"] == unquote(answer.headers["x-auth-request-preferred-username"]) == name
    assert (got["name"], got["email"]) in {(display_name, email), ("", email)}
    sent = tuple(map(unquote, filter(None, answer.headers["remote-groups"].split(","))))
    assert sent == groups[: len(sent)]
    assert answer.headers["x-tallygate-groups-truncated"] == ("false" if sent == groups else "true")
    claims = claims_of(answer)
    assert claims["sub"] == bob
    assert claims.get("_claim_names", {}).keys() - {"email_verified"} == away
    assert claims.get("groups", ()) in ((), [*groups])
