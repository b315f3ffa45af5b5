"""Bob's browser, his authenticator app and his passkey."""

import json
import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import httpx
import pyotp
import pytest

from tests.accounts.conftest import Start
from tests.accounts.pages.reading import value_of
from tests.helpers.authenticator import Authenticator
from tests.helpers.cast import PASSWORD, Cast, make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running

LOCALHOST = "http://localhost"


@pytest.fixture
async def service(start: Start) -> AsyncIterator[Running]:
    async with start() as service:
        yield service


@pytest.fixture
async def cast(service: Running) -> Cast:
    return await make_cast(service)


@pytest.fixture
async def bob(service: Running, cast: Cast) -> httpx.AsyncClient:
    return await signed_in(service, "bob", base_url=LOCALHOST)


def visitor(service: Running) -> httpx.AsyncClient:
    return service.another_client(base_url=LOCALHOST)


async def follow(client: httpx.AsyncClient, answer: httpx.Response) -> httpx.Response:
    assert answer.status_code == 303, answer.text
    return await client.get(answer.headers["location"])


class App:
    """An authenticator app."""

    def __init__(self, secret: str, clock: Clock) -> None:
        self._codes = pyotp.TOTP(secret)
        self._clock = clock

    def code(self, steps: int = 0) -> str:
        return self._codes.at(int(self._clock()) + 30 * steps)

    def wrong(self) -> str:
        return f"{(int(self.code()) + 1) % 1_000_000:06}"


async def set_up_app(client: httpx.AsyncClient, clock: Clock) -> tuple[App, list[str]]:
    """(the app, the recovery codes that are shown)."""
    page = await client.get("/account/totp/new")
    secret = re.search(r'<code class="token">([A-Z2-7 ]+)</code>', page.text)
    assert secret is not None, page.text
    app = App(secret[1].replace(" ", ""), clock)
    fields = {"sealed": value_of(page, "sealed") or "", "code": app.code()}
    return app, codes_on(await follow(client, await client.post("/account/totp/new", data=fields)))


def codes_on(page: httpx.Response) -> list[str]:
    return re.findall(r"\b[a-z2-9]{4}(?:-[a-z2-9]{4}){5}\b", page.text)


def options_on(page: httpx.Response) -> dict[str, Any]:
    found = re.search(r'data-options="([^"]+)"', page.text)
    assert found is not None, page.text
    options: dict[str, Any] = json.loads(unescape(found[1]))
    return options


async def add_passkey(client: httpx.AsyncClient, authenticator: Authenticator, name: str = "key") -> httpx.Response:
    options = options_on(await client.get("/account/passkeys/new"))
    fields = {"name": name, "credential": authenticator.create(options)}
    return await client.post("/account/passkeys/new", data=fields)


async def sign_in_options(client: httpx.AsyncClient) -> dict[str, Any]:
    options: dict[str, Any] = (await client.post("/api/session/passkey-options")).json()
    return options


async def by_passkey(client: httpx.AsyncClient, authenticator: Authenticator, **fields: str) -> httpx.Response:
    credential = authenticator.get(await sign_in_options(client))
    return await client.post("/sign-in/passkey", data={"credential": credential} | fields)


async def password(client: httpx.AsyncClient, **fields: str) -> httpx.Response:
    return await client.post("/sign-in", data={"username": "bob", "password": PASSWORD} | fields)


async def code(client: httpx.AsyncClient, typed: str, target: str = "/") -> httpx.Response:
    return await client.post("/sign-in/second-factor", data={"code": typed, "next": target})


async def signed_in_as(client: httpx.AsyncClient) -> str | None:
    answer = await client.get("/api/session")
    return answer.json()["user"]["name"] if answer.status_code == 200 else None


async def failures(service: Running) -> list[str]:
    """The details of failed sign-ins, newest first."""
    entries = (await service.state["audit"].page()).entries
    return [entry.detail for entry in entries if entry.event == "sign_in_failed"]


async def amr(client: httpx.AsyncClient) -> list[str]:
    sessions = (await client.get("/api/account/sessions")).json()
    (current,) = (one for one in sessions if one["current"])
    found: list[str] = current["amr"]
    return found
