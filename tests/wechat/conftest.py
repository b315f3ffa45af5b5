"""A WeChat on this machine, a service account `shop`, and a program with a grant for it."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from app.settings import Settings
from dev.serving import served
from dev.wechat.api import WeChatApi
from tests.helpers.clock import Clock
from tests.helpers.service import Running, running

APPID, SECRET = "wx-shop", "secret of the shop"
TOKEN = "tgs_" + "s" * 43
RAW = "tgs_" + "r" * 43
NARROW = "tgs_" + "n" * 43
LIMITED = "tgs_" + "l" * 43
CALLBACK_TOKEN, KEY = "callback", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"


def hashed(token: str) -> list[str]:
    return [hashlib.sha256(token.encode()).hexdigest()]


@pytest.fixture
def wechat(clock: Clock) -> WeChatApi:
    return WeChatApi({APPID: SECRET}, clock)


@pytest.fixture
def wechat_url(wechat: WeChatApi) -> Iterator[str]:
    with served(wechat.app()) as url:
        yield url


@pytest.fixture
def wechat_settings(make_settings: Callable[..., Settings], wechat_url: str) -> Settings:
    account: dict[str, Any] = {
        "appid": APPID, "secret": SECRET, "api_url": wechat_url, "token": CALLBACK_TOKEN,
        "jssdk_origins": ["https://shop.example.com"],
    }  # fmt: skip
    every = {"paths": ["cgi-bin/*", "wxa/*"]}
    return make_settings(
        wechat={"shop": account, "sealed": account | {"encoding_aes_key": KEY}},
        services={
            "billing": {"tokens": hashed(TOKEN), "wechat": {"shop": every}},
            "raw": {"tokens": hashed(RAW), "wechat": {"shop": {"raw_token": True}}},
            "narrow": {"tokens": hashed(NARROW), "wechat": {"shop": {"paths": ["cgi-bin/user/info"]}}},
            "limited": {"tokens": hashed(LIMITED), "wechat": {"shop": {"per_minute": 1}}},
        },
        wechat_timeout=3,
    )


@pytest.fixture
async def service(wechat_settings: Settings, clock: Clock) -> AsyncIterator[Running]:
    async with running(wechat_settings, clock) as service:
        yield service


@pytest.fixture
async def elsewhere(wechat_settings: Settings, clock: Clock, service: Running) -> AsyncIterator[Running]:
    """Another worker."""
    async with running(wechat_settings, clock) as other:
        yield other


@pytest.fixture
def program(service: Running) -> httpx.AsyncClient:
    return service.another_client(headers={"Authorization": f"Bearer {TOKEN}"})
