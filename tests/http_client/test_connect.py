"""Hosts with several addresses, of which some are dead."""

import asyncio

import httpcore
import pytest

from app.http_client.client import SafeHttpClient, Unreachable
from app.http_client.connect import first_connection
from tests.fakes.openid import FakeOpenId
from tests.helpers.sockets import PATIENCE
from tests.http_client.conftest import Names


class Stream(httpcore.AsyncMockStream):
    def __init__(self) -> None:
        super().__init__([])
        self.closed = False

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("dead", [["127.0.0.9"], ["::1"], ["127.0.0.9", "::1", "127.0.0.8"]])
async def test_a_host_with_dead_addresses_is_reached_by_the_living_one(
    dead: list[str], resolving: Names, provider: FakeOpenId
) -> None:
    resolving["provider.example"] = [*dead, "127.0.0.1"]
    url = provider.issuer.replace("127.0.0.1", "provider.example")
    async with SafeHttpClient(timeout=5, private=True) as client:
        assert (await client.request("GET", f"{url}/jwks")).status == 200


async def test_a_host_with_dead_addresses_alone_is_unreachable(resolving: Names, provider: FakeOpenId) -> None:
    resolving["provider.example"] = ["127.0.0.9", "127.0.0.8"]
    url = provider.issuer.replace("127.0.0.1", "provider.example")
    async with SafeHttpClient(timeout=5, private=True) as client:
        with pytest.raises(Unreachable, match="ConnectError"):
            await client.request("GET", f"{url}/jwks")


async def test_an_address_that_does_not_answer_delays_the_next_a_moment_only() -> None:
    tried: list[str] = []
    good = Stream()

    async def connect(address: str) -> httpcore.AsyncNetworkStream:
        tried.append(address)
        if address == "silent":
            await asyncio.Event().wait()
        return good

    async with asyncio.timeout(PATIENCE):
        assert await first_connection(["silent", "good", "never"], connect) is good
    assert tried == ["silent", "good"]
    assert not good.closed


async def test_the_slower_of_two_connections_is_closed() -> None:
    ready = asyncio.Event()
    streams = {"a": Stream(), "b": Stream()}

    async def connect(address: str) -> httpcore.AsyncNetworkStream:
        if address == "b":
            ready.set()
        await ready.wait()
        return streams[address]

    async with asyncio.timeout(PATIENCE):
        won = await first_connection(["a", "b"], connect)
    lost = next(stream for stream in streams.values() if stream is not won)
    assert lost.closed
    assert not won.closed  # type: ignore[attr-defined]


async def test_a_cancelled_connection_attempt_leaves_none_open() -> None:
    begun: list[asyncio.Task[object] | None] = []

    async def connect(address: str) -> httpcore.AsyncNetworkStream:
        begun.append(asyncio.current_task())
        return await asyncio.Future()

    task = asyncio.create_task(first_connection(["a"], connect))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert [one is not None and one.cancelled() for one in begun] == [True]
