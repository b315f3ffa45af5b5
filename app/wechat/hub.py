"""A WeChat account: its token, its ticket, and calls with them."""

from collections.abc import Callable
from typing import Any

import structlog

from app.wechat.access_tokens import Fetch, TokenCache
from app.wechat.api_calls import WeChatApi, token_of, with_token
from app.wechat.call_counts import CallCounts
from app.wechat.errcodes import NOT_ON_WHITE_LIST, errcode_of
from app.wechat.errors import WeChatProblem
from app.wechat.models import WeChatAccount
from app.wechat.store import TokenStore

ALERT_INTERVAL = 60
"""Seconds between two log lines about the white list."""


class Hub:
    """`fetch_token` fetches an access token from WeChat."""

    def __init__(
        self,
        name: str,
        account: WeChatAccount,
        api: WeChatApi,
        stores: tuple[TokenStore, TokenStore],
        counts: CallCounts,
        clock: Callable[[], float],
        fetch_token: Fetch | None = None,
    ) -> None:
        self.name = name
        self.account = account
        self._api = api
        self._counts = counts
        self._clock = clock
        self._alert_at = 0.0
        classic = fetch_token is None and account.token_api == "classic"  # noqa: S105  the name of an API
        self.access_token = TokenCache(name, stores[0], fetch_token or self._fetch_token, clock, classic=classic)
        self.jsapi_ticket = TokenCache(f"{name} ticket", stores[1], self._fetch_ticket, clock)

    def count(self, path: str, errcode: int) -> None:
        """Logs, once a minute, that WeChat refuses this service's address."""
        self._counts.add(self.name, path, errcode)
        if errcode in NOT_ON_WHITE_LIST and self._clock() >= self._alert_at:
            self._alert_at = self._clock() + ALERT_INTERVAL
            structlog.get_logger("wechat").error(
                "this service's address is not on WeChat's white list", account=self.name, errcode=errcode
            )

    async def call(self, method: str, path: str, document: Any = None, **query: str) -> dict[str, Any]:
        """A call of the API with a JSON response. Raises WeChatProblem, NoToken."""

        async def ask(token: str) -> dict[str, Any]:
            return await self._ask(method, path, document, {**query, "access_token": token})

        answer = await with_token(self.access_token, ask, errcode_of, reads=method == "GET")
        self.count(path, errcode_of(answer))
        return answer

    async def close(self) -> None:
        await self.access_token.close()
        await self.jsapi_ticket.close()

    async def _fetch_token(self, force: bool) -> tuple[str, float]:
        account = self.account
        who = {
            "grant_type": "client_credential", "appid": account.appid, "secret": account.secret.get_secret_value()
        }  # fmt: skip
        path = "cgi-bin/stable_token" if account.token_api == "stable" else "cgi-bin/token"  # noqa: S105  an API's name
        if account.token_api == "stable":  # noqa: S105  the name of an API
            answer = await self._ask("POST", path, who | {"force_refresh": force}, {})
        else:
            answer = await self._ask("GET", path, None, who)
        self.count(path, errcode_of(answer))
        return token_of(answer, "access_token")

    async def _ask(self, method: str, path: str, document: Any, query: dict[str, str]) -> dict[str, Any]:
        """Counts a response that is not usable."""
        try:
            return await self._api.ask(method, path, document, query)
        except WeChatProblem as problem:
            self.count(path, problem.status)
            raise

    async def _fetch_ticket(self, _: bool) -> tuple[str, float]:
        return token_of(await self.call("GET", "cgi-bin/ticket/getticket", type="jsapi"), "ticket")
