"""WeChat away, slow, or with half an answer; callbacks that are not WeChat's."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from structlog.testing import capture_logs

from app.settings import Settings
from dev.wechat.api import WeChatApi
from dev.wechat.pushes import Receiver, message, signed
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running
from tests.helpers.sockets import PATIENCE, free_port
from tests.wechat.conftest import APPID, CALLBACK_TOKEN, KEY, SECRET, TOKEN, hashed

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
TOKEN_ANSWER = b'{"access_token":"raw","expires_in":7200}'
SEALED = Receiver("/wechat/sealed/callback", APPID, CALLBACK_TOKEN, KEY)


@asynccontextmanager
async def upstream(answer: bytes, hangs: bool = False) -> AsyncIterator[str]:
    """Gives tokens, and this answer to any other call."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"stable_token" in head:
            writer.write(HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(TOKEN_ANSWER) + TOKEN_ANSWER)
        else:
            writer.write(answer)
            await writer.drain()
            if hangs:
                await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("answer", "hangs", "status"),
    [
        (b"", False, 502),
        (b"", True, 504),
        (HEAD + b'\r\n{"errcode":0,', True, 504),
        (HEAD + b'Content-Length: 100\r\n\r\n{"errcode":0,', False, 502),
        (HEAD + b'\r\n{"errcode":0,', False, 502),
        (HEAD + b"\r\n  <html>busy", False, 502),
        (b"HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\nContent-Length: 0\r\n\r\n", False, 502),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}", False, 502),
        (b"no HTTP\r\n\r\n", False, 502),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", False, 502),
        (HEAD + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"err', False, 502),
        (HEAD + b"X: " + b"x" * 100_000, False, 502),
        (HEAD + b"Content-Length: 3\r\nContent-Length: 2\r\n\r\n{}", False, 502),
    ],
)
async def test_unusable_answer_is_reported_and_counted(
    make_settings: Callable[..., Settings], answer: bytes, hangs: bool, status: int
) -> None:
    async with upstream(answer, hangs) as url:
        settings = make_settings(
            wechat={"shop": {"appid": APPID, "secret": SECRET, "api_url": url}},
            services={"billing": {"tokens": hashed(TOKEN), "wechat": {"shop": {}}}},
            wechat_timeout=1 if hangs else PATIENCE,
        )
        async with running(settings) as service:
            found = await service.client.get(
                "/wechat/shop/cgi-bin/user/info", headers={"Authorization": f"Bearer {TOKEN}"}
            )
            assert (found.status_code, found.headers["content-type"]) == (status, "application/problem+json")
            assert "raw" not in found.text
            totals = await service.state["wechat_counts"].totals()
            assert totals == {("shop", "cgi-bin/stable_token", 0): 1, ("shop", "cgi-bin/user/info", status): 1}


async def test_media_that_break_off_end_the_connection_and_are_counted(make_settings: Callable[..., Settings]) -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 900000\r\n\r\n" + b"x" * 200_000
    async with upstream(half) as url:
        settings = make_settings(
            wechat={"shop": {"appid": APPID, "secret": SECRET, "api_url": url}},
            services={"billing": {"tokens": hashed(TOKEN), "wechat": {"shop": {}}}},
        )
        async with running(settings) as service:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            found = await service.client.get("/wechat/shop/cgi-bin/media/get?media_id=m1", headers=headers)
            assert len(found.content) < 900_000
            totals = await service.state["wechat_counts"].totals()
            assert totals["shop", "cgi-bin/media/get", 502] == 1


async def test_outage_of_wechat_without_a_token_is_reported(make_settings: Callable[..., Settings]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    settings = make_settings(
        wechat={"shop": {"appid": APPID, "secret": SECRET, "api_url": url}},
        services={"billing": {"tokens": hashed(TOKEN), "wechat": {"shop": {}}}},
    )
    async with running(settings) as service:
        found = await service.client.get("/wechat/shop/cgi-bin/user/info", headers={"Authorization": f"Bearer {TOKEN}"})
        assert found.status_code == 502


def encrypted(clock: Clock, key: str = KEY, appid: str = APPID) -> tuple[dict[str, str], bytes]:
    return signed(Receiver(SEALED.url, appid, CALLBACK_TOKEN, key), message("text", clock(), Content="x"), clock())


async def test_encrypted_push_that_is_not_wechats_is_refused(service: Running, clock: Clock) -> None:
    query, body = encrypted(clock)
    other_key = "z" * 42 + "A"
    forged = [
        (query, body.replace(b"<Encrypt><![CDATA[", b"<Encrypt><![CDATA[A")),
        (query | {"msg_signature": "0" * 40}, body),
        (query | {"timestamp": str(int(clock()) - 301)}, body),
        encrypted(clock, key=other_key),
        encrypted(clock, appid="wx-other"),
        ({name: value for name, value in query.items() if name != "msg_signature"}, body),
        (query, b"<xml></xml>"),
        (query, b"x" * 10_000_000),
        (query | {"msg_signature": "é"}, body),
        (query | {"timestamp": "１２３"}, body),
        (query, b'<!DOCTYPE x [<!ENTITY e "x">]>' + body),
        (query, "<xml><Encrypt>x</Encrypt></xml>".encode("utf-16")),
        (query, b"<xml><Encrypt>x</Encrypt>" * 2),
    ]
    for wrong_query, wrong_body in forged:
        answer = await service.client.post(SEALED.url, params=wrong_query, content=wrong_body)
        assert 400 <= answer.status_code < 500
    assert await service.state["wechat_messages"].last() == []
    assert (await service.client.post(SEALED.url, params=query, content=body)).text == "success"


async def test_address_that_is_not_on_the_white_list_is_logged_once_a_minute(
    program: httpx.AsyncClient, wechat: WeChatApi, clock: Clock
) -> None:
    wechat.errors["/cgi-bin/user/info"] = [40164] * 3
    with capture_logs() as lines:
        for seconds in (0, 0, 61):
            clock.move(seconds)
            assert (await program.get("/wechat/shop/cgi-bin/user/info?openid=o1")).json()["errcode"] == 40164
    told = [(line["account"], line["errcode"]) for line in lines if "white list" in line["event"]]
    assert told == [("shop", 40164)] * 2
