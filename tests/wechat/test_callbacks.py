"""Callbacks, JS-SDK signatures and client functions."""

from typing import Any

import httpx
import orjson
import pytest
from wechatpy.crypto import WeChatCrypto  # type: ignore[import-untyped]

from app.wechat.message_crypto import js_signature, signature
from dev.wechat.api import WeChatApi
from tests.helpers.cast import make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running
from tests.wechat.conftest import APPID, CALLBACK_TOKEN, KEY, LIMITED

TEXT = (
    "<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName><CreateTime>1</CreateTime>"
    "<MsgType>text</MsgType><Content>你好</Content><MsgId>7</MsgId></xml>"
)


def signed(clock: Clock, age: int = 0) -> dict[str, str]:
    timestamp = str(int(clock() - age))
    return {"timestamp": timestamp, "nonce": "n", "signature": signature(CALLBACK_TOKEN, timestamp, "n")}


async def events(service: Running) -> list[dict[str, Any]]:
    """The data of the events that wait for the hooks or were taken by them, by sender."""
    found: dict[str, dict[str, Any]] = {}
    for stream in ("{wechat}:raised", "{hooks}:log"):
        for _, fields in await service.state["store"].idempotent("XRANGE", stream, "-", "+"):
            for record in (orjson.loads(text) for text in fields if text.startswith(b"{")):
                if record["type"] == "wechat.message":
                    found[record["id"]] = record["data"]
    return sorted(found.values(), key=lambda data: str(data["message"].get("FromUserName")))


async def push(service: Running, clock: Clock, body: str = TEXT, age: int = 0) -> httpx.Response:
    return await service.client.post("/wechat/shop/callback", params=signed(clock, age), content=body.encode())


async def test_address_is_checked(service: Running, clock: Clock) -> None:
    query = signed(clock) | {"echostr": "123456"}
    assert (await service.client.get("/wechat/shop/callback", params=query)).text == "123456"
    wrong = await service.client.get("/wechat/shop/callback", params=query | {"signature": "0" * 40})
    assert wrong.status_code == 400


async def test_message_is_stored_once(service: Running, clock: Clock) -> None:
    for _ in range(3):
        assert (await push(service, clock)).text == "success"
    await push(service, clock, TEXT.replace("o1", "o2"))
    first, second = await events(service)
    assert (first["account"], first["appid"], first["message"]["Content"]) == ("shop", APPID, "你好")
    assert first["xml"] == TEXT
    assert second["message"]["FromUserName"] == "o2"


async def test_events_have_no_id(service: Running, clock: Clock) -> None:
    event = (
        "<xml><FromUserName>o1</FromUserName><CreateTime>1</CreateTime><Event>SCAN</Event><EventKey>{}</EventKey></xml>"
    )
    for key in ("a", "a", "b"):
        await push(service, clock, event.format(key))
    assert len(await events(service)) == 2
    for sent in ("1", "2", "2"):  # two template messages that arrived in one second
        await push(service, clock, event.format("c").replace("</xml>", f"<MsgID>{sent}</MsgID></xml>"))
    assert len(await events(service)) == 4


async def test_encrypted_message_of_wechatpy_is_opened(service: Running, clock: Clock) -> None:
    timestamp = str(int(clock()))
    sealed = WeChatCrypto(CALLBACK_TOKEN, KEY, APPID).encrypt_message(TEXT, "n", timestamp)
    given = sealed.partition("<MsgSignature><![CDATA[")[2].partition("]")[0]
    query = {"timestamp": timestamp, "nonce": "n", "msg_signature": given}
    answer = await service.client.post("/wechat/sealed/callback", params=query, content=sealed.encode())
    assert answer.text == "success"
    (event,) = await events(service)
    assert event["message"]["Content"] == "你好"
    plain = await service.client.post("/wechat/sealed/callback", params=signed(clock), content=TEXT.encode())
    assert plain.status_code == 400


@pytest.mark.parametrize(
    ("body", "age"),
    [
        (TEXT, 301),
        (TEXT, -301),
        ("<!DOCTYPE x [<!ENTITY e 'x'>]><xml><A>&e;</A></xml>", 0),
        ("no xml", 0),
        ("<xml><ToUserName>gh_1</ToUserName><Encrypt>AAAA</Encrypt></xml>", 0),  # encoding_aes_key is not set
        ("<xml>" + "x" * 300_000 + "</xml>", 0),
        (TEXT.replace("o1", ""), 0),
        (TEXT.replace("o1", " \n"), 0),
        (TEXT.replace("FromUserName", "From"), 0),
        (TEXT.replace("MsgId", "Msg").replace("CreateTime", "Create"), 0),  # nothing tells it from another
        (TEXT.replace("<MsgId>7", "<MsgId> ").replace("<CreateTime>1", "<CreateTime>"), 0),
    ],
)
async def test_bad_message_is_refused(service: Running, clock: Clock, body: str, age: int) -> None:
    assert (await push(service, clock, body, age)).status_code == 400
    assert await events(service) == []


async def test_page_is_signed(service: Running, wechat: WeChatApi, clock: Clock) -> None:
    url = "https://shop.example.com/a?b=c#d"
    answer = await service.client.get("/api/wechat/shop/jssdk", params={"url": url})
    assert answer.headers["access-control-allow-origin"] == "https://shop.example.com"
    found = answer.json()
    ticket = await (await service.state["wechat"].get("shop")).jsapi_ticket.get()
    assert found["signature"] == js_signature(ticket.value, found["nonceStr"], found["timestamp"], url)
    await service.client.get("/api/wechat/shop/jssdk", params={"url": url})
    assert wechat.count("/cgi-bin/ticket/getticket") == 1
    for other in ("https://evil.example/", "https://shop.example.com@evil.example/", "http://[", ""):
        assert (await service.client.get("/api/wechat/shop/jssdk", params={"url": other})).status_code == 400


async def test_other_pages_may_not_ask_for_a_signature(service: Running) -> None:
    ask = {"Access-Control-Request-Method": "GET"}
    good = await service.client.options("/api/wechat/shop/jssdk", headers=ask | {"Origin": "https://shop.example.com"})
    assert (good.status_code, good.headers["access-control-allow-methods"]) == (204, "GET")
    bad = await service.client.options("/api/wechat/shop/jssdk", headers=ask | {"Origin": "https://evil.example"})
    assert (bad.status_code, "access-control-allow-origin" in bad.headers) == (403, False)


async def test_service_calls_users_templates_and_qr_codes_within_its_grant(
    service: Running, program: httpx.AsyncClient
) -> None:
    assert (await program.get("/api/wechat/shop/user/o1")).json()["nickname"] == "张三"
    message = {"touser": "o1", "template_id": "t", "data": {"a": {"value": "b"}}, "miniprogram": {"appid": "wx-mini"}}
    sent = await program.post("/api/wechat/shop/template-message", json=message)
    assert (sent.json()["errcode"], orjson.loads(sent.json()["body"])) == (0, message)
    for scene, told in (("desk", '"QR_STR_SCENE","expire_seconds":60'), (123, '"scene_id":123')):
        code = await program.post("/api/wechat/shop/qrcode", json={"scene": scene, "seconds": 60})
        assert told in code.json()["body"]
    assert (await program.post("/api/wechat/shop/qrcode", json={"scene": 0})).status_code == 400
    assert (await service.client.get("/api/wechat/shop/user/o1")).status_code == 401
    limited = service.another_client(headers={"Authorization": f"Bearer {LIMITED}"})
    assert (await limited.get("/api/wechat/sealed/user/o1")).status_code == 403
    assert [(await limited.get("/api/wechat/shop/user/o1")).status_code for _ in range(2)] == [200, 429]


async def test_administrators_see_and_refresh(
    service: Running, program: httpx.AsyncClient, wechat: WeChatApi, clock: Clock
) -> None:
    await make_cast(service)
    alice = await signed_in(service, "alice")
    first, _ = (await alice.get("/api/wechat")).json()
    assert (first["name"], first["expires"], first["age"]) == ("shop", 0, None)
    wechat.errors["/cgi-bin/user/info"] = [45009]
    await program.get("/wechat/shop/cgi-bin/user/info?openid=o1")
    refreshed = (await alice.post("/api/wechat/shop/refresh")).json()
    assert (refreshed["expires"], refreshed["age"]) == (clock() + 7200, 0)
    assert refreshed["calls"] == [
        {"path": "cgi-bin/stable_token", "errcode": 0, "count": 3},  # fetched; asked for another one; forced
        {"path": "cgi-bin/user/info", "errcode": 45009, "count": 1},
    ]
    assert refreshed["quota_errors"] == 1
    too_soon = await alice.post("/api/wechat/shop/refresh")
    assert (too_soon.status_code, too_soon.headers["retry-after"]) == (503, "30")
    assert (await program.get("/wechat/shop/cgi-bin/user/info?openid=o1")).json()["openid"] == "o1"
    wechat.errors["/cgi-bin/stable_token"] = [45009]
    assert (await alice.post("/api/wechat/shop/refresh")).status_code == 503
    first, _ = (await alice.get("/api/wechat")).json()
    assert (first["errcode"], first["quota_errors"]) == (45009, 2)
    bob = await signed_in(service, "bob")
    assert (await bob.get("/api/wechat")).status_code == 403
