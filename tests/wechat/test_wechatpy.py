"""wechatpy, unchanged, calls through the proxy of a service that runs as a process."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from wechatpy import WeChatClient  # type: ignore[import-untyped]

from dev.serving import served
from dev.wechat.api import WeChatApi
from tests.helpers.service import process
from tests.helpers.valkey import Valkey
from tests.wechat.conftest import APPID, SECRET, TOKEN, hashed


@pytest.fixture
def client(short_folder: Path, server: Valkey) -> Iterator[WeChatClient]:
    with served(WeChatApi({APPID: SECRET}).app()) as upstream:
        config = short_folder / "wechat.toml"
        config.write_text(f"""
            [wechat.shop]
            appid = "{APPID}"
            secret = "{SECRET}"
            api_url = "{upstream}"
            [services.billing]
            tokens = ["{hashed(TOKEN)[0]}"]
            wechat.shop = {{ paths = ["cgi-bin/*"] }}
        """)
        with process(short_folder / "wechatpy", "--config", str(config), port="0", redis_url=server.url) as service:
            client = WeChatClient(APPID, "unused", access_token=TOKEN)
            client.API_BASE_URL = f"{service.url()}/wechat/shop/cgi-bin/"
            yield client


@pytest.mark.slow
def test_wechatpy_calls_unchanged(client: WeChatClient) -> None:
    assert client.user.get("o1")["nickname"] == "张三"
    assert client.tag.create("friends") == {"id": 134, "name": "friends"}
    assert client.message.send_template("o1", "t", {"a": {"value": "b"}})["errcode"] == 0
    assert client.media.upload("image", io.BytesIO(b"x" * 200_000))["media_id"] == "m1"
    assert client.media.download("m1").content.startswith(b"\xff\xd8")
    assert client.jsapi.get_ticket()["ticket"]
