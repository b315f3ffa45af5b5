"""All accounts: those of the settings, by name, and those that authorised a platform, by appid."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from pydantic import SecretStr

from app.http_client.client import SafeHttpClient
from app.wechat.api_calls import WeChatApi
from app.wechat.call_counts import CallCounts
from app.wechat.hub import Hub
from app.wechat.models import NAME, WeChatAccount
from app.wechat.platform import Platform
from app.wechat.store import StoredTokens

KINDS = ("access_token", "jsapi_ticket")


class Hubs:
    def __init__(
        self,
        accounts: Mapping[str, WeChatAccount],
        platforms: Mapping[str, Platform],
        http: SafeHttpClient,
        tokens: StoredTokens,
        counts: CallCounts,
        clock: Callable[[], float],
    ) -> None:
        self.platforms = platforms
        self._tokens = tokens
        self._counts = counts
        self._clock = clock
        self._authorized: dict[tuple[str, str], Hub] = {}
        self._configured = {
            name: self._hub(name, account, WeChatApi(http, account.api_url)) for name, account in accounts.items()
        }

    async def get(self, name: str) -> Hub | None:
        """The account; None if it is unknown or has withdrawn its authorization. Raises StoreUnavailable."""
        if name in self._configured:
            return self._configured[name]
        for platform in self.platforms.values():
            if await self.authorized(platform, name):
                return self._authorized[platform.name, name]
        return None

    async def authorized(self, platform: Platform, appid: str) -> Hub | None:
        """An account that authorised the platform."""
        key = (platform.name, appid)
        if not NAME.fullmatch(appid):
            return None
        if await platform.store.get(appid) is None:
            if hub := self._authorized.pop(key, None):
                await hub.close()
            return None
        if key not in self._authorized:
            settings = platform.settings
            origins = settings.jssdk_origins.get(appid, ())
            account = WeChatAccount(appid=appid, secret=SecretStr(""), api_url=settings.api_url, jssdk_origins=origins)
            self._authorized[key] = self._hub(appid, account, platform.api, platform)
        return self._authorized[key]

    def component_tokens(self) -> dict[str, Callable[[], Awaitable[str]]]:
        """A function for each platform that returns its access token."""
        return {name: platform.token for name, platform in self.platforms.items()}

    async def all(self) -> list[Hub]:
        names = [appid for platform in self.platforms.values() for appid in await platform.store.appids()]
        found = [await self.get(appid) for appid in names if appid not in self._configured]
        return [*self._configured.values(), *(hub for hub in found if hub is not None)]

    async def withdraw(self, platform: Platform, appid: str) -> bool:
        """Deletes an account and its tokens. Returns whether it was authorised."""
        removed = await platform.store.remove(appid)
        if appid not in self._configured:
            for kind in KINDS:
                await self._tokens.of(appid, kind).remove()
        return removed

    async def close(self) -> None:
        for hub in [*self._configured.values(), *self._authorized.values()]:
            await hub.close()

    def _hub(self, name: str, account: WeChatAccount, api: WeChatApi, platform: Platform | None = None) -> Hub:
        stores = (self._tokens.of(name, KINDS[0]), self._tokens.of(name, KINDS[1]))
        fetch = partial(platform.fetch_token, account.appid) if platform is not None else None
        return Hub(name, account, api, stores, self._counts, self._clock, fetch)
