"""Redis goes away in the middle."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dev.wechat.api import WeChatApi
from dev.wechat.pushes import Receiver, message, signed
from tests.helpers.clock import Clock
from tests.helpers.service import Running
from tests.helpers.sockets import PATIENCE
from tests.helpers.valkey import Valkey, valkey
from tests.wechat.conftest import APPID, CALLBACK_TOKEN, KEY, TOKEN

INFO = "/wechat/shop/cgi-bin/user/info?openid=o1"
STABLE = "/cgi-bin/stable_token"
SEALED = Receiver("/wechat/sealed/callback", APPID, CALLBACK_TOKEN, KEY)


@pytest.fixture
def server(short_folder: Path) -> Iterator[Valkey]:
    """A server of the test's own, which may be killed."""
    with valkey(short_folder / "wechat-away") as server:
        yield server


async def test_token_that_cannot_be_stored_is_used(
    program: httpx.AsyncClient, server: Valkey, wechat: WeChatApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = wechat.next_error

    def in_the_middle(path: str) -> int:
        if path == STABLE:
            server.kill()
        return real(path)

    monkeypatch.setattr(wechat, "next_error", in_the_middle)
    answers = await asyncio.gather(*(program.get(INFO) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert (await program.get(INFO)).status_code == 200
    assert wechat.count(STABLE) == 1


async def test_while_redis_is_away_wechat_is_asked_to_push_again(
    service: Running, server: Valkey, clock: Clock, wechat: WeChatApi
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert (await service.client.get("/wechat/shop/cgi-bin/user/info", headers=headers)).status_code == 200
    query, body = signed(SEALED, message("text", clock(), Content="x"), clock())
    server.kill()
    answer = await service.client.post(SEALED.url, params=query, content=body)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    server.start()
    async with asyncio.timeout(PATIENCE):
        while (await service.client.post(SEALED.url, params=query, content=body)).text != "success":
            await asyncio.sleep(0.05)
    assert len(await service.state["wechat_messages"].last()) == 1
