"""The proxy of WeChat's API, and the tokens that it keeps."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import Settings
from dev.wechat.api import WeChatApi
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running
from tests.wechat.conftest import APPID, RAW, SECRET, TOKEN

INFO = "/wechat/shop/cgi-bin/user/info?openid=o1"


async def test_call_goes_through_with_the_services_token(program: httpx.AsyncClient, wechat: WeChatApi) -> None:
    answer = await program.get(INFO)
    assert answer.json() == {"subscribe": 1, "openid": "o1", "nickname": "张三"}
    assert TOKEN not in str(wechat.asked)


async def test_token_may_stand_in_the_query(service: Running, wechat: WeChatApi) -> None:
    answer = await service.client.post(f"/wechat/shop/cgi-bin/tags/create?access_token={TOKEN}", content=b"{}")
    assert answer.json()["errcode"] == 0
    assert wechat.count("/cgi-bin/tags/create") == 1


@pytest.mark.parametrize("api", ["GET cgi-bin/token", "POST cgi-bin/stable_token"])
async def test_sdk_that_fetches_a_token_gets_its_own(service: Running, wechat: WeChatApi, api: str) -> None:
    method, path = api.split()
    for token in (TOKEN, RAW):
        who = {"grant_type": "client_credential", "appid": APPID, "secret": token}
        body = json.dumps(who | {"force_refresh": True})
        answer = (
            await service.client.request(
                method,
                f"/wechat/shop/{path}",
                params=who if method == "GET" else None,
                content=body if method == "POST" else None,
                headers={"Content-Type": "application/x-www-form-urlencoded"},  # as `curl -d` sends JSON
            )
        ).json()
        assert (answer["access_token"] == token) is (token == TOKEN)
        assert answer["expires_in"] == 7200
    assert wechat.count("/cgi-bin/stable_token") == 1


async def test_dead_token_is_replaced_by_force_once(program: httpx.AsyncClient, wechat: WeChatApi) -> None:
    await program.get(INFO)
    wechat.expire()
    answers = await asyncio.gather(*(program.get(INFO) for _ in range(10)))
    assert all(answer.json().get("openid") == "o1" for answer in answers)
    forced = [who["force_refresh"] for path, who in wechat.asked if path == "/cgi-bin/stable_token"]
    assert forced == [False, False, True]
    wechat.expire()
    answer = await program.get(INFO)
    assert (answer.status_code, answer.json()["errcode"]) == (200, 40001)  # within 30 s no second time


@pytest.mark.parametrize("errcode", [40001, 40014, 42001])
async def test_call_is_repeated_once(program: httpx.AsyncClient, wechat: WeChatApi, errcode: int) -> None:
    wechat.errors["/cgi-bin/user/info"] = [errcode] * 2
    assert (await program.get(INFO)).json()["errcode"] == errcode
    assert wechat.count("/cgi-bin/user/info") == 2


async def test_other_errors_are_passed_on(program: httpx.AsyncClient, wechat: WeChatApi) -> None:
    wechat.errors["/cgi-bin/user/info"] = [45009]
    assert (await program.get(INFO)).json() == {"errcode": 45009, "errmsg": "on demand"}
    assert wechat.count("/cgi-bin/user/info") == 1


@pytest.mark.parametrize("errcode", [45009, 45011, 40125, 40164])
async def test_refused_token_is_asked_for_once_a_minute(
    program: httpx.AsyncClient, wechat: WeChatApi, clock: Clock, errcode: int
) -> None:
    wechat.errors["/cgi-bin/stable_token"] = [errcode]
    answer = await program.get(INFO)
    assert (answer.status_code, answer.json()["errcode"], answer.json()["account"]) == (503, errcode, "shop")
    assert (await program.get(INFO)).status_code == 503
    assert wechat.count("/cgi-bin/stable_token") == 1
    clock.move(61)
    assert (await program.get(INFO)).status_code == 200


async def test_busy_wechat_is_asked_again_for_reads_only(program: httpx.AsyncClient, wechat: WeChatApi) -> None:
    wechat.errors["/cgi-bin/user/info"] = [-1, -1]
    assert (await program.get(INFO)).json()["openid"] == "o1"
    assert wechat.count("/cgi-bin/user/info") == 3
    wechat.errors["/cgi-bin/message/custom/send"] = [-1]
    answer = await program.post("/wechat/shop/cgi-bin/message/custom/send", json={})
    assert answer.json()["errcode"] == -1
    assert wechat.count("/cgi-bin/message/custom/send") == 1


async def test_calls_are_counted_for_all_workers(
    service: Running, elsewhere: Running, program: httpx.AsyncClient, wechat: WeChatApi
) -> None:
    wechat.html.add("/cgi-bin/tags/get")
    wechat.errors["/cgi-bin/user/info"] = [45009]
    for path in (INFO, INFO, "/wechat/shop/cgi-bin/tags/get"):
        await program.get(path)
    await service.state["wechat_counts"].totals()
    await elsewhere.state["wechat_counts"].totals()
    found = {
        (sample.labels["path"], sample.labels["errcode"]): sample.value
        for family in elsewhere.state["wechat_counts"].metrics()
        for sample in family.samples
    }
    token = ("cgi-bin/stable_token", "0")
    info = {("cgi-bin/user/info", "45009"): 1, ("cgi-bin/user/info", "0"): 1}
    assert found == {token: 1, ("cgi-bin/tags/get", "502"): 1, **info}


async def test_html_is_a_bad_gateway(program: httpx.AsyncClient, wechat: WeChatApi) -> None:
    wechat.html.add("/cgi-bin/user/info")
    assert (await program.get(INFO)).status_code == 502


async def test_cookies_of_wechat_are_not_kept(program: httpx.AsyncClient, wechat: WeChatApi) -> None:
    for _ in range(2):
        assert "set-cookie" not in (await program.get(INFO)).headers
    assert set(wechat.cookies) == {""}


async def test_media_are_streamed(program: httpx.AsyncClient, wechat: WeChatApi) -> None:
    async def large() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 100_000

    answer = await program.post("/wechat/shop/cgi-bin/media/upload", content=large())
    assert answer.json()["media_id"] == "m1"
    assert wechat.bytes_received == 10_000_000
    media = await program.get("/wechat/shop/cgi-bin/media/get?media_id=m1")
    assert (len(media.content), media.headers["content-type"]) == (300_002, "image/jpeg")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/wechat/shop/cgi-bin/clear_quota", 403),
        ("/wechat/shop/sns/userinfo", 403),
        ("/wechat/shop/cgi-bin/%2e%2e/user/info", 400),
        ("/wechat/shop/cgi-bin//user/info", 400),
        ("/wechat/shop/cgi-bin%2fuser/info", 400),
        ("/wechat/shop/@example.com/x", 400),
        ("/wechat/sealed/cgi-bin/user/info", 403),
        ("/wechat/other/cgi-bin/user/info", 403),
        ("/wechat/shop/cgi-bin/user/info?access_token=raw", 400),
        ("/wechat/shop/cgi-bin/user/info?secret=x", 400),
        ("/wechat/shop/cgi-bin/user/info?Access_Token=raw", 400),
        ("/wechat/shop/cgi-bin/user/info?access%5Ftoken=raw", 400),
        ("/wechat/shop/cgi-bin/user/info?component_access_token=x", 400),
        (f"/wechat/shop/cgi-bin/user/info?access_token={TOKEN}&access_token=raw", 400),
        (f"/wechat/shop/cgi-bin/user/info?access_token=raw&access_token={TOKEN}", 400),
        ("/wechat/shop/cgi-bin/user/info?access_token%20=raw", 400),
        ("/wechat/shop/cgi-bin/user/info?openid=o1&SECRET=x", 400),
        ("/wechat/shop/cgi-bin/Token", 403),
        ("/wechat/shop/cgi-bin/ticket/GetTicket", 403),
        ("/wechat/shop/cgi-bin/user/info%0d%0aHost:evil", 404),
        ("/wechat/shop/cgi-bin/user/info;x", 400),
        ("/wechat/shop/http://evil.example/", 400),
        ("/wechat/shop/cgi-bin/user%252finfo", 400),
        (f"/wechat/shop/cgi-bin/user/info?access_token={RAW}", 401),
    ],
)
async def test_forbidden_calls_do_not_reach_wechat(service: Running, wechat: WeChatApi, path: str, status: int) -> None:
    scope_path = httpx.URL("http://tallygate.test").copy_with(raw_path=path.encode())
    answer = await service.client.get(scope_path, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == status, answer.text
    assert not wechat.asked


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"secret": "x"}'),
        ("text/plain", b'{"Access_T\\u006fken": "raw"}'),
        ("application/x-www-form-urlencoded", b"access_token=raw"),
        ("application/x-www-form-urlencoded", b"a%63cess_t%6Fken=raw"),
        ("application/json", b'{"access_token": "raw", "access_token": "%b"}' % TOKEN.encode()),
        ("application/json", b'{"access_token": "%b"}' % TOKEN.encode()),
        ("application/json", b'{"secret": {"a": 1}}'),
        ("application/json", b'{"text": "' + b"x" * 100_000 + b'", "access_token": "raw"}'),
        ("application/x-www-form-urlencoded", b'{"access_token": "raw"}'),  # as `curl -d` sends it
        ("Application/X-WWW-Form-URLencoded", b"secret=raw"),
        ("", b"secret=raw"),
        ("application/json", b'\xef\xbb\xbf{"secret": "x"}'),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="access_token"\r\n\r\nraw'),
        ("Multipart/Form-Data; boundary=b", b'--b\r\nContent-Disposition: form-data; Name = "secret"\r\n\r\nraw'),
    ],
)
async def test_credentials_in_a_body_are_refused(
    program: httpx.AsyncClient, wechat: WeChatApi, content_type: str, body: bytes
) -> None:
    path = "/wechat/shop/cgi-bin/message/custom/send"
    answer = await program.post(path, content=body, headers={"Content-Type": content_type})
    assert answer.status_code == 400
    assert answer.json()["field"] in {"access_token", "secret"}
    assert not wechat.asked


async def test_json_body_is_bounded_and_media_are_not(program: httpx.AsyncClient, wechat: WeChatApi) -> None:
    path = "/wechat/shop/cgi-bin/message/custom/send"
    assert (await program.post(path, content=b'{"a": "' + b"x" * 2_000_000 + b'"}')).status_code == 413
    assert not wechat.asked
    large = await program.post(path, content=b'{"a": "' + b"x" * 500_000 + b'"}')
    assert large.json()["errcode"] == 0
    assert wechat.count("/cgi-bin/message/custom/send") == 1


@pytest.mark.parametrize("appid", ["wx-other", [], {"a": 1}])
async def test_token_for_another_appid_is_refused(service: Running, wechat: WeChatApi, appid: object) -> None:
    body = {"grant_type": "client_credential", "appid": appid, "secret": TOKEN}
    answer = await service.client.post("/wechat/shop/cgi-bin/stable_token", json=body)
    assert (answer.status_code, answer.json()["field"]) == (400, "appid")
    assert not wechat.asked


async def test_query_keeps_its_values(program: httpx.AsyncClient, wechat: WeChatApi) -> None:
    await program.get(f"{INFO}&remark=%E6%9D%8E%3Ba=b%26")
    assert wechat.asked[-1][1]["remark"] == "李;a=b&"


async def test_space_is_no_plus(program: httpx.AsyncClient, service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    send, targets = service.state["wechat_http"].send, []

    async def noted(method: str, origin: str, target: str, *more: Any) -> Any:
        targets.append(target)
        return await send(method, origin, target, *more)

    monkeypatch.setattr(service.state["wechat_http"], "send", noted)
    for spelling in ("a%20b%2Bc", "a+b%2Bc"):
        await program.get(f"{INFO}&remark={spelling}")
    assert [target.rpartition("=")[2] for target in targets] == ["a%20b%2Bc"] * 2


async def test_small_body_of_unknown_length_is_repeated(program: httpx.AsyncClient, wechat: WeChatApi) -> None:
    async def small() -> AsyncIterator[bytes]:
        yield b'{"touser":'
        yield b'"o1"}'

    wechat.errors["/cgi-bin/message/custom/send"] = [42001]
    answer = await program.post("/wechat/shop/cgi-bin/message/custom/send", content=small())
    assert answer.json()["body"] == '{"touser":"o1"}'


async def test_tokens_are_in_no_log(wechat_settings: Settings, wechat: WeChatApi, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with running(wechat_settings.model_copy(update={"log_file": log, "log_level": "debug"}), wechat.clock) as it:
        program = it.another_client(headers={"Authorization": f"Bearer {TOKEN}"})
        wechat.errors |= {"/cgi-bin/user/info": [40001], "/cgi-bin/stable_token": [-1]}
        for path in (INFO, INFO, f"{INFO}&access_token={TOKEN}", "/wechat/shop/cgi-bin/clear_quota"):
            await program.get(path)
    written = log.read_text("utf-8")
    assert "/wechat/shop/cgi-bin/user/info" in written
    assert '"errcode":-1,"event":"WeChat gives no token","level":"error"' in written
    raw = {query["access_token"] for _, query in wechat.asked if "access_token" in query}
    assert raw
    assert not any(secret in written for secret in {TOKEN, SECRET, *raw})


async def test_token_is_encrypted_in_redis(program: httpx.AsyncClient, wechat: WeChatApi, service: Running) -> None:
    await program.get(INFO)
    token = next(query["access_token"] for path, query in wechat.asked if path == "/cgi-bin/user/info")
    fields = await service.state["store"].idempotent("HGETALL", "{wechat:shop}:access_token")
    assert token.encode() not in b"".join(fields.values())
