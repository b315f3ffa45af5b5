"""The certificate authorities that are trusted."""

import pytest

from app.http_client import tls
from app.http_client.client import SafeHttpClient, Unreachable


async def test_certificate_authorities_are_parsed_once() -> None:
    tls.trusted.cache_clear()
    for _ in range(3):
        async with SafeHttpClient(timeout=5, private=False) as client:
            with pytest.raises(Unreachable):
                await client.request("GET", "https://127.0.0.1/")
    assert tls.trusted.cache_info().misses == 1
