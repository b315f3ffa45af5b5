"""What clients send is not kept, however much of it there is, and however it differs."""

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from tests.helpers.service import Running, running
from tests.sessions.opened import opened

LONG = 50_000
REQUESTS = 100


@pytest.fixture
def held() -> Iterator[Callable[[], int]]:
    """How many bytes this process holds since the test began."""
    tracemalloc.start()

    def now() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    yield now
    tracemalloc.stop()


async def ask(service: Running, path: str, *headers: tuple[bytes, bytes]) -> None:
    """A request as a server passes it on: httpx would remember the URL itself."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "root_path": "",
        "query_string": b"",
    }
    scope |= {"headers": [(b"host", b"tallygate.test"), *headers], "client": ("192.0.2.1", 1), "state": service.state}

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        assert message.get("status", 200) in {200, 400, 404}

    await service.app(scope, receive, send)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["path", "accept", "accept-language", "cookie", "sec-fetch-mode", "x-forwarded-for"])
async def test_long_header_values_use_bounded_memory(
    where: str, make_settings: Callable[..., Settings], tmp_path: Path, held: Callable[[], int]
) -> None:
    async with running(make_settings(trusted_proxies=["192.0.2.1"], log_file=tmp_path / "log")) as service:
        before = held()
        for number in range(REQUESTS):
            text = f"{number}=".ljust(LONG, "x")
            if where == "path":
                await ask(service, f"/{text}")
            else:
                await ask(service, "/", (where.encode(), text.encode()))
        assert held() - before < REQUESTS * LONG / 4


@pytest.mark.slow
@pytest.mark.parametrize(("store", "size"), [("cookie", 900), ("redis", 3000)])
async def test_session_cookies_use_bounded_memory(
    store: str, size: int, make_settings: Callable[..., Settings], held: Callable[[], int]
) -> None:
    # Neither counted nor logged: what waits for Redis or for a flush is held as well.
    async with running(make_settings(session_store=store, log_level="warning")) as service:
        cookie = await opened(service, await service.state["accounts"].create("bob", None), "http")
        await ask(service, "/api/session", (b"cookie", cookie.encode()))
        before = held()
        for number in range(20 * REQUESTS):
            await ask(service, "/api/session", (b"cookie", f"{cookie}; x={number}".ljust(size, "x").encode()))
        assert held() - before < 20 * REQUESTS * size / 4
