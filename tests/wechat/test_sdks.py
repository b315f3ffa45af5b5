"""SDKs, unchanged, call through the proxy of a service that runs as a process: wechatpy, and co-wechat-api of npm."""

import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from wechatpy import WeChatClient  # type: ignore[import-untyped]

from dev.serving import served
from dev.wechat.api import WeChatApi
from tests.helpers.service import process
from tests.helpers.valkey import Valkey
from tests.wechat.conftest import APPID, SECRET, TOKEN, hashed

CO_WECHAT_API = "3.11.0"
SCRIPT = """
const API = require('co-wechat-api');
const [base, appid, secret] = process.argv.slice(2);
const api = new API(appid, secret);
api.prefix = `${base}/cgi-bin/`;
(async () => {
  console.log(JSON.stringify({
    user: await api.getUser('o1'),
    followers: await api.getFollowers(),
    template: await api.sendTemplate('o1', 't', 'https://example.com', {a: {value: 'b'}}),
    media: await api.uploadMedia(Buffer.alloc(200000), 'image', 'a.jpg', 'image/jpeg'),
    bytes: (await api.getMedia('m1')).length,
    ticket: await api.getTicket(),
    token: (await api.getAccessToken()).accessToken,
  }));
})();
"""


@pytest.fixture
def base(short_folder: Path, server: Valkey) -> Iterator[str]:
    """The address of the account in the proxy."""
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
            yield f"{service.url()}/wechat/shop"


@pytest.mark.slow
def test_wechatpy_calls_unchanged(base: str) -> None:
    client = WeChatClient(APPID, "unused", access_token=TOKEN)
    client.API_BASE_URL = f"{base}/cgi-bin/"
    assert client.user.get("o1")["nickname"] == "张三"
    assert client.user.get_followers()["data"]["openid"] == ["o1"]
    assert client.tag.get()[0]["name"] == "friends"
    assert client.tag.create("friends") == {"id": 134, "name": "friends"}
    assert client.message.send_template("o1", "t", {"a": {"value": "b"}})["errcode"] == 0
    assert client.media.upload("image", io.BytesIO(b"x" * 200_000))["media_id"] == "m1"
    assert client.media.download("m1").content.startswith(b"\xff\xd8")
    assert client.jsapi.get_ticket()["ticket"]


@pytest.fixture(scope="module")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("npm") is None:
        pytest.skip("no npm here: apt-get install npm")
    folder = tmp_path_factory.mktemp("npm")
    (folder / "package.json").write_text(
        json.dumps({"private": True, "dependencies": {"co-wechat-api": CO_WECHAT_API}})
    )
    (folder / "calls.js").write_text(SCRIPT)
    command = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
    if subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=300).returncode:
        pytest.skip("npm cannot install co-wechat-api here")
    return folder


@pytest.mark.slow
def test_co_wechat_api_fetches_its_own_token_and_calls_unchanged(npm: Path, base: str) -> None:
    command = ["node", "calls.js", base, APPID, TOKEN]
    done = subprocess.run(command, cwd=npm, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["user"]["nickname"] == "张三"
    assert found["followers"]["data"]["openid"] == ["o1"]
    assert (found["template"]["errcode"], found["media"]["media_id"], found["bytes"]) == (0, "m1", 300_002)
    assert found["ticket"]["ticket"]
    assert found["token"] == TOKEN
