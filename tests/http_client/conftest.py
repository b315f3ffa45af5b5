import asyncio
import socket
from typing import Any

import pytest

from tests.oauth_client.conftest import provider, served_provider

__all__ = ["provider", "served_provider"]
Names = dict[str, list[str]]


@pytest.fixture
def resolving(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Names of the test's own, and what they lead to."""
    names: Names = {}
    real = asyncio.BaseEventLoop.getaddrinfo

    async def getaddrinfo(loop: asyncio.BaseEventLoop, host: Any, port: Any, **options: Any) -> Any:
        if host in names:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in names[host]]
        return await real(loop, host, port, **options)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return names
