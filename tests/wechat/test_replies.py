"""Passive replies: one service is asked, and WeChat gets its reply in the form of the account."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from wechatpy.crypto import WeChatCrypto  # type: ignore[import-untyped]

from dev.serving import served
from dev.wechat.pushes import Receiver, message, signed
from tests.helpers.cast import make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running
from tests.helpers.sockets import PATIENCE
from tests.wechat.conftest import APPID, CALLBACK_TOKEN, KEY

REPLY = "<xml><ToUserName>o1</ToUserName><MsgType>text</MsgType><Content>您好</Content></xml>"


class Shop:
    """A service that replies."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.reply = REPLY
        self.status = 200

    async def answer(self, request: Request[Any]) -> Response:
        self.asked.append(await request.json())
        return Response(self.reply, self.status)


@pytest.fixture
async def shop(service: Running) -> AsyncIterator[Shop]:
    shop = Shop()
    await make_cast(service)
    alice = await signed_in(service, "alice")
    with served(Starlette(routes=[Route("/", shop.answer, methods=["POST"])])) as url:
        hook = {"url": url, "events": ["wechat.message"], "wechat": ["shop", "sealed"], "reply": True}
        assert (await alice.post("/api/webhooks", json=hook)).status_code == 201
        yield shop


async def push(service: Running, receiver: Receiver, clock: Clock, sender: str = "o1") -> str:
    query, body = signed(receiver, message("text", clock(), sender, Content="你好"), clock())
    answer = await service.client.post(receiver.url, params=query, content=body)
    assert answer.status_code == 200, answer.text
    return answer.text


PLAIN = Receiver("/wechat/shop/callback", APPID, CALLBACK_TOKEN)
SEALED = Receiver("/wechat/sealed/callback", APPID, CALLBACK_TOKEN, KEY)


async def test_service_replies(service: Running, shop: Shop, clock: Clock) -> None:
    assert await push(service, PLAIN, clock) == REPLY
    assert shop.asked[0]["data"]["message"]["Content"] == "你好"
    assert (await service.state["wechat_messages"].last())[0].outcome == "replied"


async def test_messages_page_shows_the_outcome_at_each_webhook(service: Running, shop: Shop, clock: Clock) -> None:
    shop.status = 500
    await push(service, PLAIN, clock)
    alice = await signed_in(service, "alice")
    (hook,) = (await alice.get("/api/webhooks")).json()["webhooks"]
    async with asyncio.timeout(PATIENCE):
        while "pending" not in (page := (await alice.get("/admin/wechat/messages")).text):
            await asyncio.sleep(0.02)
    assert f'href="/admin/webhooks/{hook["id"]}"' in page
    shop.status = 200
    async with asyncio.timeout(PATIENCE):
        while "delivered" not in (await alice.get("/admin/wechat/messages")).text:
            clock.move(60)
            await asyncio.sleep(0.02)


async def test_encrypted_reply_is_opened_by_wechatpy(service: Running, shop: Shop, clock: Clock) -> None:
    sealed = await push(service, SEALED, clock)
    crypto = WeChatCrypto(CALLBACK_TOKEN, KEY, APPID)
    parts = [sealed.partition(f"<{name}>")[2].partition("</")[0] for name in ("MsgSignature", "TimeStamp", "Nonce")]
    nonce = parts[2].removeprefix("<![CDATA[").removesuffix("]]>")
    assert crypto.decrypt_message(sealed, parts[0], parts[1], nonce) == REPLY


@pytest.mark.parametrize(
    ("reply", "status"),
    [("", 200), ("success", 200), ("<html>", 200), ("<xml><A>", 200), ("<!DOCTYPE x><xml/>", 200), (REPLY, 500)],
)
async def test_without_a_good_reply_the_answer_is_success(
    service: Running, shop: Shop, clock: Clock, reply: str, status: int
) -> None:
    shop.reply, shop.status = reply, status
    assert await push(service, PLAIN, clock) == "success"


async def test_repeat_is_not_asked_again(service: Running, shop: Shop, clock: Clock) -> None:
    text = message("text", clock(), Content="你好")
    answers = []
    for _ in range(2):
        query, body = signed(PLAIN, text, clock())
        answers.append((await service.client.post(PLAIN.url, params=query, content=body)).text)
    assert answers == [REPLY, "success"]
    (listed,) = await service.state["wechat_messages"].last()
    assert listed.repeats == 1


async def test_oldest_of_several_webhooks_replies(service: Running, shop: Shop, clock: Clock) -> None:
    alice = await signed_in(service, "alice")
    for number in range(8):  # Redis returns so many in any order
        clock.move(1)
        silent = {"url": f"http://127.0.0.1:1/{number}", "events": ["wechat.message"], "reply": True}
        assert (await alice.post("/api/webhooks", json=silent)).status_code == 201
    assert await push(service, PLAIN, clock) == REPLY
