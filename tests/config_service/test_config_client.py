"""The Python client: follows changes, calls back, keeps the last values on disk."""

import asyncio
import stat
from pathlib import Path

import httpx
import pytest

from client.tallygate_config import Config, ConfigUnavailable
from tests.config_service.conftest import Office
from tests.helpers.api import program, token_for


async def opened(office: Office, token: str, cache: Path) -> Config:
    client = program(office.service, token)
    return await Config.open("http://tallygate.test", token, "shop", cache=cache, client=client)


async def test_client_follows_changes_and_calls_back(office: Office, tmp_path: Path) -> None:
    path = await office.namespace()
    await office.patch(path, {"price": 5, "name": "x"})
    token = await token_for(office.alice)
    async with await opened(office, token, tmp_path / "shop.json") as config:
        told: asyncio.Queue[frozenset[str]] = asyncio.Queue()
        config.on_change(lambda changed: 1 / 0)
        config.on_change(told.put_nowait)
        assert (config["price"], len(config), config.version) == (5, 2, 2)
        await office.patch(path, {"price": 6})
        assert await asyncio.wait_for(told.get(), 10) == {"price"}
        assert (dict(config), config.version) == ({"price": 6, "name": "x"}, 3)
    assert stat.S_IMODE((tmp_path / "shop.json").stat().st_mode) == 0o600


async def test_client_starts_from_its_file_while_the_service_is_away(office: Office, tmp_path: Path) -> None:
    path, cache = await office.namespace(), tmp_path / "shop.json"
    await office.patch(path, {"price": 5})
    token = await token_for(office.alice)
    await (await opened(office, token, cache)).close()

    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    def gone() -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(away), base_url="http://tallygate.test")

    async with await Config.open("http://tallygate.test", token, "shop", cache=cache, client=gone()) as config:
        assert dict(config) == {"price": 5}
    with pytest.raises(ConfigUnavailable):
        await Config.open("http://tallygate.test", token, "shop", cache=tmp_path / "none", client=gone())
    page = httpx.MockTransport(lambda request: httpx.Response(200, text="<p>Back soon"))
    other = httpx.AsyncClient(transport=page, base_url="http://tallygate.test")
    async with await Config.open("http://tallygate.test", token, "shop", cache=cache, client=other) as config:
        assert dict(config) == {"price": 5}


async def test_refused_token_is_reported_even_with_a_file(office: Office, tmp_path: Path) -> None:
    path, cache = await office.namespace(), tmp_path / "shop.json"
    await office.patch(path, {"price": 5})
    await (await opened(office, await token_for(office.alice), cache)).close()
    with pytest.raises(httpx.HTTPStatusError):
        await opened(office, "tgt_wrong", cache)


async def test_client_does_not_ask_again_and_again_where_nothing_waits() -> None:
    asked: list[httpx.Request] = []

    def unchanged(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={}, headers={"ETag": '"1"'}) if len(asked) == 1 else httpx.Response(304)

    client = httpx.AsyncClient(transport=httpx.MockTransport(unchanged), base_url="http://tallygate.test")
    async with await Config.open("http://tallygate.test", "tgs_x", "shop", client=client):
        await asyncio.sleep(0.2)
    assert len(asked) == 2
