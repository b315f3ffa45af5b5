"""The pages of services and of WeChat."""

import re

import httpx
import pytest

from dev.wechat.api import WeChatApi
from dev.wechat.pushes import Receiver, message, signed
from tests.helpers.cast import make_cast, signed_in
from tests.helpers.clock import Clock
from tests.helpers.service import Running
from tests.wechat.conftest import APPID, CALLBACK_TOKEN

SHOP = Receiver("/wechat/shop/callback", APPID, CALLBACK_TOKEN)


@pytest.fixture
async def alice(service: Running) -> httpx.AsyncClient:
    await make_cast(service)
    return await signed_in(service, "alice")


async def test_service_is_made_on_its_pages(alice: httpx.AsyncClient, service: Running) -> None:
    assert "set in the configuration" in (await alice.get("/admin/services")).text
    made = await alice.post("/admin/services", data={"name": "orders"})
    one = made.headers["location"].rpartition("/")[2]
    page = f"/admin/services/{one}"
    grants = {"account": "shop", "paths": "cgi-bin/user/info wxa/*", "per_minute": "1"}
    await alice.post(f"/admin/services/{one}/grants", data=grants)
    shown = (
        await alice.get(
            (await alice.post(f"/admin/services/{one}/tokens", data={"name": "prod", "days": "30"})).headers["location"]
        )
    ).text
    found = re.search(r"tgs_[A-Za-z0-9_-]{43}", shown)
    assert found is not None
    assert "tgs_" not in (await alice.get(page)).text
    program = service.another_client(headers={"Authorization": f"Bearer {found[0]}"})
    info = "/wechat/shop/cgi-bin/user/info?openid=o1"
    assert [(await program.get(info)).status_code for _ in range(2)] == [200, 429]
    (token,) = [
        each["tokens"][0]["id"] for each in (await alice.get("/api/services")).json() if each["name"] == "orders"
    ]
    await alice.post(f"/admin/services/{one}/tokens/revoke", data={"token": token})
    assert (await program.get(info)).status_code == 401
    await alice.post(f"/admin/services/{one}/grants", data={"account": "shop", "remove": "on"})
    assert "wechat.shop" not in (await alice.get(page)).text
    assert (await alice.post(f"/admin/services/{one}/remove", data={"name": "other"})).status_code == 400
    assert (await alice.post(f"/admin/services/{one}/remove", data={"name": "orders"})).headers[
        "location"
    ] == "/admin/services"
    assert (await alice.get(page)).status_code == 404


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("", {"name": "Not Small"}),
        ("", {"name": "billing"}),
        ("/grants", {"account": "shop", "per_minute": "many"}),
        ("/grants", {"account": "shop", "per_day": "0"}),
        ("/grants", {"account": "shop", "paths": "../x?y"}),
        ("/tokens", {"name": "", "days": "1"}),
        ("/tokens", {"name": "x", "days": "-1"}),
    ],
)
async def test_form_with_a_mistake_comes_back(alice: httpx.AsyncClient, path: str, form: dict[str, str]) -> None:
    page = (await alice.post("/admin/services", data={"name": "orders"})).headers["location"]
    answer = await alice.post(f"{page}{path}" if path else "/admin/services", data=form)
    assert answer.status_code == 400
    assert 'aria-invalid="true"' in answer.text


async def test_accounts_show_their_tokens_and_calls(
    alice: httpx.AsyncClient, program: httpx.AsyncClient, wechat: WeChatApi
) -> None:
    wechat.errors["/cgi-bin/user/info"] = [45011]
    await program.get("/wechat/shop/cgi-bin/user/info?openid=o1")
    page = (await alice.get("/admin/wechat")).text
    assert "45011" in page
    assert "cgi-bin/user/info" in page
    assert (await alice.post("/admin/wechat/shop/refresh")).status_code == 303
    wechat.errors["/cgi-bin/stable_token"] = [40164]
    assert "40164" in (await alice.post("/admin/wechat/shop/refresh")).text
    assert not any(token in page for token in wechat.tokens)


async def test_last_messages_are_shown_without_content_unless_asked(
    alice: httpx.AsyncClient, service: Running, clock: Clock
) -> None:
    for kind, fields in (("text", {"Content": "你好"}), ("event", {"Event": "SCAN", "EventKey": "desk"})):
        query, body = signed(SHOP, message(kind, clock(), **fields), clock())
        await service.client.post(SHOP.url, params=query, content=body)
    page = (await alice.get("/admin/wechat/messages")).text
    assert ("SCAN" in page, "你好" in page) == (True, False)
    only = (await alice.get("/admin/wechat/messages?kind=text")).text
    address = re.search(r'href="(/admin/wechat/messages/evt_[0-9a-f]+)"', only)
    assert address is not None
    assert "你好" in (await alice.get(address[1])).text
    assert (await alice.get("/admin/wechat/messages/evt_unknown")).status_code == 404
