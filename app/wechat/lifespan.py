"""The part of the lifespan that opens WeChat accounts, and the request state that it fills."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypedDict, TypeVar

from app.accounts.lifespan import AccountState
from app.events.event import Outcome, Record
from app.http_client.client import SafeHttpClient
from app.http_client.streaming import StreamingClient
from app.observability.metrics import Metrics
from app.server.background import background
from app.sessions.signing import signing_keys
from app.settings import Settings
from app.store.encryption import Encryption
from app.web.lifespan import WebState
from app.wechat.api_calls import WeChatApi
from app.wechat.call_counts import INTERVAL, CallCounts
from app.wechat.hubs import Hubs
from app.wechat.messages import Messages
from app.wechat.models import configured_accounts, configured_platforms
from app.wechat.platform import Platform
from app.wechat.platform_store import PlatformStore
from app.wechat.store import StoredTokens

C = TypeVar("C")
Outcomes = Callable[[str], Awaitable[list[Outcome]]]
"""Returns the outcome of an event at each webhook."""
AskForReply = Callable[[Record], Awaitable[str | None]]
"""Requests the passive reply to a message from a service; None if there is none in time."""


class WeChat(TypedDict):
    """Filled by `open_wechat`."""

    wechat: Hubs
    wechat_http: StreamingClient
    wechat_messages: Messages
    wechat_counts: CallCounts
    wechat_ask_for_reply: AskForReply
    wechat_outcomes: Outcomes
    wechat_clock: Callable[[], float]


class WeChatState(AccountState, WeChat):
    """The request state of the feature's handlers."""


@asynccontextmanager
async def open_wechat(
    web: WebState, metrics: Metrics, ask_for_reply: AskForReply, outcomes: Outcomes, clock: Callable[[], float]
) -> AsyncIterator[WeChat]:
    """Raises SettingsError for a wrong table."""
    settings, tracking, private = web["settings"], web["tracking"], web["settings"].private_providers
    accounts = configured_accounts(settings.wechat, private=private)
    platform_tables = configured_platforms(settings.wechat_platform, private=private)
    encryption = Encryption(signing_keys(settings), "wechat")
    tokens = StoredTokens(tracking, encryption)
    counts = CallCounts(web["store"], secrets.token_hex(8))
    metrics.add_families(counts.metrics)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(_client(settings, SafeHttpClient))
        streaming = await stack.enter_async_context(_client(settings, StreamingClient))
        platforms: dict[str, Platform] = {}
        for name, table in platform_tables.items():
            store, api = PlatformStore(tracking, encryption, name), WeChatApi(http, table.api_url)
            platforms[name] = Platform(name, table, api, store, tokens, clock)
            stack.push_async_callback(platforms[name].close)
        hubs = Hubs(accounts, platforms, http, tokens, counts, clock)
        stack.push_async_callback(hubs.close)
        if accounts or platforms:
            await stack.enter_async_context(background(web["lifecycle"], _flush(counts)))
        yield WeChat(
            wechat=hubs,
            wechat_http=streaming,
            wechat_messages=Messages(web["store"], encryption, clock),
            wechat_counts=counts,
            wechat_ask_for_reply=ask_for_reply,
            wechat_outcomes=outcomes,
            wechat_clock=clock,
        )


async def _flush(counts: CallCounts) -> None:
    while True:
        await asyncio.sleep(INTERVAL)
        await counts.flush()


def _client(settings: Settings, make: Callable[..., C]) -> C:
    return make(
        timeout=settings.wechat_timeout,
        private=settings.private_providers,
        ca_file=settings.oauth_ca_file,
        proxy=settings.outgoing_proxy,
    )
