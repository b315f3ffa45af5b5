"""What holds for every route: who may keep its answers, and what it says while Redis is away."""

import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from app.routes import all_routes
from app.settings import Settings
from tests.helpers.cast import make_cast, signed_in
from tests.helpers.service import Running, running
from tests.helpers.valkey import Valkey, valkey
from tests.helpers.waiting import eventually

ENDLESS = "/events/"
REFERENCE = re.compile(rb"[0-9a-f]{16}")
SITE: dict[str, str] = {"ns": "shop", "site": "shop", "account": "shop"}


def routes() -> list[tuple[str, str]]:
    """(method, a path of it) of each route that answers at once."""
    found = [
        (method, re.sub(r"\{(\w+)[^}]*\}", lambda name: SITE.get(name[1], "x"), route.path))
        for route in all_routes()
        if isinstance(route, Route) and ENDLESS not in route.path
        for method in sorted(route.methods or {"GET"})
    ]
    return [each for each in found if each not in {("POST", "/sign-out"), ("DELETE", "/api/session")}]


@pytest.fixture
def fragile(short_folder: Path) -> Iterator[Valkey]:
    """A server of the test's own, to take away."""
    with valkey(short_folder / f"every{time.monotonic_ns()}") as server:
        yield server


@pytest.fixture
async def service(fragile: Valkey) -> AsyncIterator[Running]:
    async with running(Settings(redis_url=fragile.url, redis_timeout=1)) as service:
        await make_cast(service)
        yield service


@pytest.mark.slow
async def test_no_answer_that_depends_on_the_user_may_be_kept(service: Running) -> None:
    alice, stranger = await signed_in(service, "alice"), service.another_client()
    await alice.post("/api/config", json={"name": "shop"})
    paths = [path for method, path in routes() if method == "GET"]
    for path in [*paths, "/api/config/shop?version=1", "/api/config/shop?wait=0"]:
        for kind in ("text/html", "application/json"):
            hers, others = [await client.get(path, headers={"Accept": kind}) for client in (alice, stranger)]
            if REFERENCE.sub(b"", hers.content) != REFERENCE.sub(b"", others.content):
                for answer in (hers, others):
                    assert "no-store" in answer.headers["cache-control"], path
                    assert "cookie" in answer.headers["vary"].lower(), path


@pytest.mark.slow
@pytest.mark.parametrize("away", ["killed", "hanging"])
async def test_while_redis_is_away_every_route_says_so_or_needs_none(
    service: Running, fragile: Valkey, away: str
) -> None:
    alice = await signed_in(service, "alice")
    if away == "killed":
        fragile.kill()
    else:
        fragile.send(SIGSTOP)
    said: dict[str, httpx.Response] = {}
    for method, path in routes():
        for kind in ("text/html", "application/json"):
            body: dict[str, Any] = {"data" if kind == "text/html" else "json": {"name": "x"}}
            headers = {"Accept": kind, "Accept-Language": "zh"}
            answer = await alice.request(method, path, headers=headers, **({} if method in {"GET", "HEAD"} else body))
            assert answer.status_code < 500 or answer.status_code == 503, (method, path)
            if answer.status_code == 503:
                assert answer.headers["retry-after"], (method, path)
                said[f"{method} {path} {kind}"] = answer
    assert len(said) > 300
    assert "登录和计数暂时不可用" in said["GET /account text/html"].text
    assert "登录和计数暂时不可用" in said["GET /api/account/tokens application/json"].json()["detail"]
    if away == "killed":
        fragile.start()
    else:
        fragile.send(SIGCONT)

    async def back() -> bool:
        return (await alice.get("/account")).status_code == 200

    await eventually(back)
