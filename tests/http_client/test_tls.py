"""The certificate authorities that are trusted."""

import ssl
from typing import Any

import httpx
import pytest

from app.http_client import tls
from app.http_client.client import SafeHttpClient


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
        async with SafeHttpClient(timeout=5, private=False):
            pass
    assert parsed == 1
