"""The part of the lifespan that opens WeChat accounts, and the request state that it fills."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypedDict, TypeVar

from app.accounts.lifespan import AccountState
from app.http_client.client import SafeHttpClient
from app.http_client.streaming import StreamingClient
from app.sessions.signing import signing_keys
from app.settings import Settings
from app.store.encryption import Encryption
from app.web.lifespan import WebState
from app.wechat.hub import Hub
from app.wechat.models import configured_accounts
from app.wechat.store import Messages, TokenStore

C = TypeVar("C")


class WeChat(TypedDict):
    """Filled by `open_wechat`."""

    wechat: Mapping[str, Hub]
    wechat_http: StreamingClient
    wechat_messages: Messages
    wechat_clock: Callable[[], float]


class WeChatState(AccountState, WeChat):
    """The request state of the feature's handlers."""


@asynccontextmanager
async def open_wechat(web: WebState, clock: Callable[[], float]) -> AsyncIterator[WeChat]:
    """Raises SettingsError for a wrong table."""
    settings, tracking = web["settings"], web["tracking"]
    accounts = configured_accounts(settings.wechat, private=settings.private_providers)
    encryption = Encryption(signing_keys(settings), "wechat")
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(_client(settings, SafeHttpClient))
        streaming = await stack.enter_async_context(_client(settings, StreamingClient))
        hubs: dict[str, Hub] = {}
        for name, account in accounts.items():
            stores = (
                TokenStore(tracking, encryption, name, "access_token"),
                TokenStore(tracking, encryption, name, "jsapi_ticket"),
            )
            hubs[name] = Hub(name, account, http, stores, web["rate_limiter"], clock)
            stack.push_async_callback(hubs[name].close)
        yield WeChat(
            wechat=hubs, wechat_http=streaming, wechat_messages=Messages(web["store"], clock), wechat_clock=clock
        )


def _client(settings: Settings, make: Callable[..., C]) -> C:
    return make(
        timeout=settings.wechat_timeout,
        private=settings.private_providers,
        ca_file=settings.oauth_ca_file,
        proxy=settings.outgoing_proxy,
    )
