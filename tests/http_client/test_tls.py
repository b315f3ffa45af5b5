"""The certificate authorities that are trusted."""

import ssl
from typing import Any

import httpx
import pytest

from app.http_client import tls
from app.http_client.client import SafeHttpClient, Unreachable


async def test_certificate_authorities_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = 0
    real = httpx.create_ssl_context

    def counted(**options: Any) -> ssl.SSLContext:
        nonlocal parsed
        parsed += 1
        return real(**options)

    monkeypatch.setattr(httpx, "create_ssl_context", counted)
    tls.trusted.cache_clear()
    for _ in range(3):
        async with SafeHttpClient(timeout=5, private=False) as client:
            with pytest.raises(Unreachable):
                await client.request("GET", "https://127.0.0.1/")
    assert parsed == 1
