"""The certificate authorities that are trusted."""

import asyncio
import ssl
import threading
from collections.abc import Awaitable
from typing import Any

import httpx
import pytest

from app.http_client import tls
from app.http_client.client import SafeHttpClient, Unreachable
from app.http_client.streaming import StreamingClient


async def test_certificate_authorities_are_parsed_once() -> None:
    tls.trusted.cache_clear()
    for _ in range(3):
        async with SafeHttpClient(timeout=5, private=False) as client:
            with pytest.raises(Unreachable):
                await client.request("GET", "https://127.0.0.1/")
    assert tls.trusted.cache_info().misses == 1


async def test_first_request_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries and authorities take 0.1 s: both are loaded in threads."""
    tls.trusted.cache_clear()
    loaded: list[str] = []
    parsed: list[threading.Thread] = []
    make = httpx.create_ssl_context

    async def imported(name: str) -> None:
        loaded.append(name)

    def parse(**options: Any) -> ssl.SSLContext:
        parsed.append(threading.current_thread())
        return make(**options)

    monkeypatch.setattr("app.http_client.client.imported", imported)
    monkeypatch.setattr(httpx, "create_ssl_context", parse)
    monkeypatch.setattr(tls, "httpx", httpx)
    async with SafeHttpClient(timeout=5, private=True) as client:
        await asyncio.gather(*(refused(client.request("GET", "https://127.0.0.1:1/")) for _ in range(3)))
    assert loaded == ["app.http_client.transport"]
    tls.trusted.cache_clear()
    async with StreamingClient(timeout=5, private=True) as streaming:
        await refused(streaming.send("GET", "https://127.0.0.1:1", "/", {}, b""))
    assert len(parsed) == 2
    assert threading.current_thread() not in parsed


async def refused(request: Awaitable[object]) -> None:
    with pytest.raises(Unreachable):
        await request
