"""A third-party platform of the open platform: its token, and the accounts that authorise it."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from app.store.client import StoreUnavailable
from app.web.i18n import N_
from app.wechat.access_tokens import Refused, TokenCache
from app.wechat.api_calls import WeChatApi, good, token_of, with_token
from app.wechat.errcodes import BAD_AUTHORIZATION, BAD_TICKET, NO_TICKET, NOT_GRANTED, errcode_of
from app.wechat.errors import NoToken, WeChatProblem
from app.wechat.models import NAME, WeChatPlatform
from app.wechat.platform_store import Authorization, PlatformStore
from app.wechat.store import StoredTokens

MAX_FUNCTIONS = 200
MARGIN = 600
"""Seconds before its expiry at which a component token is refreshed: WeChat recommends 1 h 50 min after its issue."""


class Platform:
    def __init__(
        self,
        name: str,
        settings: WeChatPlatform,
        api: WeChatApi,
        store: PlatformStore,
        tokens: StoredTokens,
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.settings = settings
        self.api = api
        self.store = store
        self._clock = clock
        self._tokens = tokens
        self._own_token = tokens.of(f"platform:{name}", "access_token")
        self.access_token = TokenCache(f"platform {name}", self._own_token, self._fetch, clock, MARGIN)
        self._unsaved: dict[str, str] = {}
        """Refresh tokens that could not be stored, by the one that each replaces."""

    async def token(self) -> str:
        return (await self.access_token.get()).value

    async def close(self) -> None:
        await self.access_token.close()

    async def save_ticket(self, ticket: str, created: int) -> None:
        """Raises StoreUnavailable."""
        if await self.store.save_ticket(ticket, created):
            await self._own_token.unpause(BAD_TICKET)

    async def consent_url(self, redirect_uri: str) -> str:
        """WeChat's page on which the owner of an account authorises this platform. Raises WeChatProblem."""
        code = good(await self._call("api_create_preauthcode", {})).get("pre_auth_code")
        query = {
            "component_appid": self.settings.appid, "pre_auth_code": str(code), "redirect_uri": redirect_uri,
            "auth_type": "3",
        }  # fmt: skip
        return f"{self.settings.open_url}/cgi-bin/componentloginpage?{urlencode(query)}"

    async def exchange(self, code: str) -> str:
        """Exchanges an authorization code and stores its account. Returns the appid. Raises WeChatProblem."""
        info = good(await self._call("api_query_auth", {"authorization_code": code})).get("authorization_info")
        info = info if isinstance(info, dict) else {}
        appid, refresh_token = info.get("authorizer_appid"), info.get("authorizer_refresh_token")
        if not isinstance(appid, str) or not NAME.fullmatch(appid) or not isinstance(refresh_token, str):
            raise WeChatProblem(N_("WeChat's response is not usable."))
        await self.store.add(Authorization(appid, refresh_token, self._clock(), _functions(info.get("func_info"))))
        await self._tokens.of(appid, "access_token").unpause(BAD_AUTHORIZATION)
        return appid

    async def fetch_token(self, appid: str, _: bool) -> tuple[str, float]:
        """An access token of an account; the refresh token that comes with it replaces the former one.

        Raises Refused, WeChatProblem, StoreUnavailable.
        """
        account = await self.store.fresh(appid)
        if account is None:
            raise Refused(NOT_GRANTED)
        former = self._unsaved.get(account.refresh_token, account.refresh_token)
        who = {"authorizer_appid": appid, "authorizer_refresh_token": former}
        answer = await self._call("api_authorizer_token", who)
        found = token_of(answer, "authorizer_access_token")
        refresh_token = answer.get("authorizer_refresh_token")
        if isinstance(refresh_token, str) and refresh_token:
            try:
                await self.store.save_refresh_token(appid, refresh_token)
                self._unsaved.pop(account.refresh_token, None)
            except StoreUnavailable:  # the access token is good all the same
                self._unsaved[account.refresh_token] = refresh_token
        return found

    async def _fetch(self, _: bool) -> tuple[str, float]:
        ticket = await self.store.ticket()
        if ticket is None:
            raise NoToken(f"platform {self.name}", NO_TICKET)
        who = {
            "component_appsecret": self.settings.secret.get_secret_value(), "component_verify_ticket": ticket.value
        }  # fmt: skip
        return token_of(await self._ask("api_component_token", who, {}), "component_access_token")

    async def _call(self, name: str, document: dict[str, Any]) -> dict[str, Any]:
        async def ask(token: str) -> dict[str, Any]:
            return await self._ask(name, document, {"component_access_token": token})

        return await with_token(self.access_token, ask, errcode_of, reads=False)

    async def _ask(self, name: str, document: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        document = {"component_appid": self.settings.appid} | document
        return await self.api.ask("POST", f"cgi-bin/component/{name}", document, query)


def _functions(func_info: Any) -> tuple[int, ...]:
    """The numbers of the functions that an account granted."""
    found = []
    for each in func_info[:MAX_FUNCTIONS] if isinstance(func_info, list) else ():
        category = each.get("funcscope_category") if isinstance(each, dict) else None
        number = category.get("id") if isinstance(category, dict) else None
        if isinstance(number, int):
            found.append(number)
    return tuple(found)
