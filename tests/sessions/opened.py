"""Sessions without the cost of passwords: opened through the service's own `sessions`, used through HTTP."""

import asyncio
from typing import Any

import httpx
from starlette.types import Scope

from app.accounts.models import User
from app.sessions.session import Session
from tests.helpers.service import Running
from tests.helpers.sockets import PATIENCE

HTTPS = "https://tallygate.test"


def scope_of(cookie: str = "", scheme: str = "https") -> Scope:
    """A request as a server describes it, with this Cookie header."""
    headers = [(b"cookie", cookie.encode())] if cookie else []
    return {"type": "http", "scheme": scheme, "headers": headers, "client": ("192.0.2.1", 50000)}


async def opened(service: Running, user: User, scheme: str = "https") -> str:
    """The `name=value` of the cookie of a new session."""
    scope = scope_of(scheme=scheme)
    await service.state["sessions"].begin(scope, user.id, "password")
    return await committed(service, scope)


async def committed(service: Running, scope: Scope) -> str:
    """The `name=value` of the cookie that a request's answer sets; empty when it sets none."""
    headers: list[tuple[bytes, bytes]] = []
    await service.state["sessions"].commit(scope, headers)
    return next((value.decode().partition(";")[0] for name, value in headers if name == b"set-cookie"), "")


async def session_of(service: Running, cookie: str) -> tuple[Scope, Session]:
    """A request with this cookie, and its session."""
    scope = scope_of(cookie)
    session = await service.state["sessions"].open(scope)
    assert session is not None
    return scope, session


async def data_of(service: Running, cookie: str) -> dict[str, Any]:
    return (await session_of(service, cookie))[1].data


async def check(service: Running, cookie: str, url: str = HTTPS) -> int:
    """The status that `GET /api/session` answers to a request with exactly this Cookie header."""
    return (await asked(service, [cookie], url)).status_code


async def asked(service: Running, cookies: list[str], url: str = HTTPS, path: str = "/api/session") -> httpx.Response:
    """What a request with these Cookie headers is answered; a character stands for a byte."""
    headers = [(b"cookie", cookie.encode("latin-1")) for cookie in cookies]
    client = service.another_client(base_url=url)
    return await client.get(path, headers=headers)


def cookie_of(client: httpx.AsyncClient) -> str:
    """The Cookie header that this browser sends."""
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)


async def until_refused(service: Running, cookie: str) -> None:
    """Waits until another worker has heard of it."""
    async with asyncio.timeout(PATIENCE):
        while await check(service, cookie) != 401:
            await asyncio.sleep(0.001)
